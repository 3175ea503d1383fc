package main

import (
	"os"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptFlip turns a bit of a file over: "flip file offset"; an offset below 0
// counts from the end.
func scriptFlip(ts *testscript.TestScript, neg bool, args []string) {
	content, at := scriptDamage(ts, neg, args)
	content[at] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), content, 0o600))
}

// scriptCut cuts a file off: "cut file length"; a length below 0 counts from
// the end.
func scriptCut(ts *testscript.TestScript, neg bool, args []string) {
	content, at := scriptDamage(ts, neg, args)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), content[:at], 0o600))
}

func scriptDamage(ts *testscript.TestScript, neg bool, args []string) (content []byte, at int) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip|cut file offset")
	}
	content, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	at, err = strconv.Atoi(args[1])
	ts.Check(err)
	if at < 0 {
		at += len(content)
	}
	if at < 0 || at >= len(content) {
		ts.Fatalf("%s has %d bytes only", args[0], len(content))
	}
	return content, at
}
