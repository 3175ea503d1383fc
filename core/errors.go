package core

import (
	"errors"
	"fmt"

	"github.com/parlorchat/parlor/storage/command"
)

// Codes of the errors that a domain command answers. They are public and
// never change their meaning.
const (
	CodeNotFound = "NOTFOUND" // what the command is about does not exist
	CodeExists   = "EXISTS"   // an id is taken
	CodeConflict = "CONFLICT" // not in this state, or changed meanwhile
	CodeLimit    = "LIMIT"    // a bound was reached
	CodeInvalid  = "INVALID"  // a value is not valid
	CodeDenied   = "DENIED"   // not by this one
)

// CodeOf gives the code of a command's error, "" for any other error.
func CodeOf(err error) string {
	var e *command.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func fail(code, format string, args ...any) error {
	return command.Errorf(code, fmt.Sprintf(format, args...))
}

func errNotFound(what, id string) error {
	return fail(CodeNotFound, "%s %q does not exist", what, clip(id, 80))
}

// clip shortens a text that goes into a message.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
