package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
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
		Setup: func(e *testscript.Env) error {
			e.Setenv("PARLOR_BALLAST", "0") // nobody's disk is to fill up
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"ports": func(ts *testscript.TestScript, neg bool, args []string) { scriptPorts(t, ts, args) },
			"token": scriptToken,
			"ready": scriptReady,
			"flip":  scriptFlip,
			"cut":   scriptCut,
			"pin":   scriptPin,
		},
	})
}

// scriptPorts finds free ports: "ports base" sets base so that ${base}00 to
// ${base}39 are free.
func scriptPorts(t *testing.T, ts *testscript.TestScript, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: ports variable")
	}
	ts.Setenv(args[0], fmt.Sprint(freePorts(t, 9)/100))
}

// scriptToken takes a token out of JSON: "token file variable [id]"; with id,
// the token's id only.
func scriptToken(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: token file variable [id]")
	}
	content := []byte(ts.ReadFile(args[0]))
	token, err := jsonString(content, "join_token")
	if err != nil {
		token, err = jsonString(content, "token")
	}
	ts.Check(err)
	if len(args) > 2 {
		_, rest, _ := strings.Cut(token, "::")
		token, _, _ = strings.Cut(rest, ":")
	}
	ts.Setenv(args[1], token)
}

// scriptPin makes a token that names another authority: "pin variable" changes
// the last digit of the pin in $token.
func scriptPin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: pin variable")
	}
	pin, rest, ok := strings.Cut(ts.Getenv("token"), "::")
	if !ok {
		ts.Fatalf("there is no $token")
	}
	other := "0"
	if strings.HasSuffix(pin, other) {
		other = "1"
	}
	ts.Setenv(args[0], pin[:len(pin)-1]+other+"::"+rest)
}

// scriptReady waits until the node at an HTTP address is ready.
func scriptReady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ready host:port")
	}
	m := &member{name: args[0], http: args[0], logFile: os.DevNull}
	ts.Check(m.waitReady(context.Background()))
}
