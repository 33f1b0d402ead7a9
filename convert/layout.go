package convert

import "bytes"

// Layout is what stood between the values of the object that was read last: in a file
// that a program wrote, mostly what stands between those of the next one too, and to
// compare it takes a part of the time of reading it. The zero value is ready. It serves
// one reader at a time.
type Layout struct{ members []layoutMember }

type layoutMember struct{ between, name []byte }

// Member returns the name of a member and where its value begins, within raw. It reads
// on from i, where the object begins or the n-th of its values ends. A start of 0
// says that no plain member follows there: none, or one whose name has escapes, say.
func (l *Layout) Member(raw []byte, i, n int) (name []byte, start int) {
	if n < len(l.members) {
		known := &l.members[n]
		if start = i + len(known.between); start < len(raw) && bytes.Equal(raw[i:start], known.between) {
			return known.name, start
		}
	}
	return l.read(raw, i, n)
}

func (l *Layout) read(raw []byte, i, n int) (name []byte, start int) {
	before := byte(',')
	if n == 0 {
		before = '{'
	}
	start = blanksEnd(raw, i)
	if start == len(raw) || raw[start] != before {
		return nil, 0
	}
	name, start = plainString(raw, blanksEnd(raw, start+1))
	if start = blanksEnd(raw, start); name == nil || start == len(raw) || raw[start] != ':' {
		return nil, 0
	}
	if start = blanksEnd(raw, start+1); start == len(raw) {
		return nil, 0
	}
	const most, longest = 32, 64 // members, and bytes
	if n >= most || start-i > longest {
		return name, start
	}
	if n >= len(l.members) {
		l.members = append(l.members, make([]layoutMember, n+1-len(l.members))...)
	}
	l.members[n] = layoutMember{bytes.Clone(raw[i:start]), bytes.Clone(name)}
	return l.members[n].name, start
}
