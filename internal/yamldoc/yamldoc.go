// Package yamldoc reads the YAML of descriptions, class maps and configurations: mappings,
// lists and scalars as they are written, in bounded time and memory.
package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Node is a value with its place.
type Node = yaml.Node

// maxBytes is far more than people write.
const maxBytes = 16 << 20

// Parse reads the documents of a file, without empty ones. The error is one line.
func Parse(data []byte) ([]*Node, error) {
	if len(data) > maxBytes {
		return nil, fmt.Errorf("is larger than %d MiB", maxBytes>>20)
	}
	if !utf8.Valid(data) {
		return nil, errors.New("is not UTF-8")
	}
	var docs []*Node
	for in := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var doc Node
		err := in.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			first, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "yaml: "), "\n")
			return nil, errors.New(strings.Replace(first, "exceeded max depth of 10000", "is nested deeper than 10,000 levels", 1))
		}
		if len(doc.Content) == 1 && !Null(doc.Content[0]) {
			docs = append(docs, doc.Content[0])
		}
	}
}

// Pair is a key of a mapping, and its value.
type Pair struct{ Key, Value *Node }

// Pairs are those of a mapping, whose keys are scalars and different.
func Pairs(n *Node) ([]Pair, error) {
	if n.Kind != yaml.MappingNode {
		return nil, errors.New("is no mapping of keys to values")
	}
	lines := make(map[string]int)
	var pairs []Pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		p := Pair{n.Content[i], n.Content[i+1]}
		key, err := Text(p.Key)
		if err != nil {
			return nil, fmt.Errorf("line %d: a key %w", p.Key.Line, err)
		}
		if first, twice := lines[key]; twice {
			return nil, fmt.Errorf("line %d: %q stands in line %d already", p.Key.Line, key, first)
		}
		lines[key] = p.Key.Line
		pairs = append(pairs, p)
	}
	return pairs, nil
}

// Resolved is what an alias stands for, and any other value itself.
func Resolved(n *Node) *Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// List are the values of a list; ok is false where it is none.
func List(n *Node) (values []*Node, ok bool) {
	return n.Content, n.Kind == yaml.SequenceNode
}

// IsMapping reports a mapping.
func IsMapping(n *Node) bool { return n.Kind == yaml.MappingNode }

// Null reports a value that is not there.
func Null(n *Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// Text is a scalar as it is written, "" for none.
func Text(n *Node) (string, error) {
	if r := Resolved(n); r.Kind == yaml.ScalarNode {
		n = r
	}
	switch {
	case n.Kind == yaml.AliasNode:
		return "", errors.New("is an alias of more than a single value, which is not read")
	case n.Kind != yaml.ScalarNode:
		return "", errors.New("is no text")
	case Null(n):
		return "", nil
	}
	return n.Value, nil
}
