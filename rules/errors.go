package rules

import (
	"fmt"
	"strings"
)

// Error is one thing that is wrong with a document.
type Error struct {
	// Path leads to the value: "when.all[2].op". Empty: the document itself.
	Path string
	// Message says what is wrong and what would be right.
	Message string
}

func (e *Error) Error() string {
	if e.Path == "" {
		return e.Message
	}
	return e.Path + ": " + e.Message
}

// Errors is everything that is wrong with a document, in document order; at
// most maxErrors. Validate returns an Errors; errors.As finds it, and finds
// the first *Error in it.
type Errors []*Error

func (es Errors) Error() string {
	texts := make([]string, len(es))
	for i, e := range es {
		texts[i] = e.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap lets errors.Is and errors.As look at each error.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// maxErrors is how many errors of one document are reported: enough to mend
// it in one go, few enough to be read.
const maxErrors = 20

// report collects the errors of a document.
type report struct{ errs Errors }

func (r *report) add(path, format string, args ...any) {
	if len(r.errs) < maxErrors {
		r.errs = append(r.errs, &Error{Path: path, Message: fmt.Sprintf(format, args...)})
	}
}

// err gives the errors as an error, and nil if there are none.
func (r *report) err() error {
	if len(r.errs) == 0 {
		return nil
	}
	return r.errs
}
