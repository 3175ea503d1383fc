//go:build parlornext

package command

// A program built with the tag parlornext supports one level more than the
// source it is built from, with one command. It stands for the next release in
// the tests of upgrades (make mixed): what a level hinders, finalizing, and
// that nobody goes back after it.

func unreleasedLevels() []Level {
	return []Level{{Number: 2, Entries: 1, Brought: "TEST.NEXT, to test upgrades"}}
}

// Unreleased is the commands of levels that are not released: TEST.NEXT key
// value writes value, and the level that it was carried out at.
func Unreleased() []Spec {
	return []Spec{{
		Name: "TEST.NEXT", Arity: 3, Flags: Write, Level: 2, Summary: "Writes a value, from the next level on.", Group: "string",
		Since: "next", Categories: []string{"write", "string"}, First: 1, Last: 1, Step: 1,
		Run: func(c *Call, args [][]byte) (Reply, error) {
			return Int(int64(c.Level)), c.Set(args[1], args[2])
		},
	}}
}
