package main

import (
	"flag"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata/script")

// TestMain lets the test binary be the program itself: scripts call it as
// "parlor", and the nodes of the end-to-end tests are processes of their own.
func TestMain(m *testing.M) {
	if os.Getenv("PARLOR_TEST_PROGRAM") != "" {
		main()
	}
	testscript.Main(m, map[string]func(){"parlor": main})
}

// TestScripts runs the command line as people type it: testdata/script.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PARLOR_TEST_BASE", "")
			return nil
		},
	})
}
