//go:build !linux

package main

// largePages is for systems that give large pages to who asks for them.
func largePages() {}
