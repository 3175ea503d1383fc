package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/parlorchat/parlor/core"
)

// decodeMessage reads the body of a message call.
func decodeMessage[T messageInput | visitorMessage](body []byte) (in T, err error) {
	if len(body) == 0 {
		return in, problem(codeInvalidJSON, "the body is empty; it must be a JSON object", ProblemItem{"body", "is empty"})
	}
	if err := decodeJSON(body, &in); err != nil {
		return in, err
	}
	return in, nil
}

// decodeJSON reads one JSON value strictly: the right types, and nothing
// after it. Fields that it does not know are passed by, so that a client of a
// newer version may talk to an older node.
func decodeJSON(body []byte, into any) error {
	if err := checkUTF8(body); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	err := dec.Decode(into)
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrongType):
		at := "body"
		if wrongType.Field != "" {
			at += "." + wrongType.Field
		}
		return invalid(at, fmt.Sprintf("must be %s, not %s", jsonKind(wrongType.Type.Kind().String()), wrongType.Value))
	case err != nil:
		return problem(codeInvalidJSON, "the body is not valid JSON: "+err.Error(), ProblemItem{"body", err.Error()})
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return problem(codeInvalidJSON, "there is something after the JSON object", ProblemItem{"body", "something follows the JSON object"})
	}
	return nil
}

// checkUTF8 refuses what the decoder would silently put replacement characters
// into.
func checkUTF8(body []byte) error {
	if !utf8.Valid(body) {
		return problem(codeInvalidJSON, "the body is not valid UTF-8", ProblemItem{"body", "is not valid UTF-8"})
	}
	return nil
}

// jsonKind gives the JSON name of a kind of Go type.
func jsonKind(kind string) string {
	switch kind {
	case "string":
		return "a string"
	case "bool":
		return "a boolean"
	case "struct", "map":
		return "an object"
	case "slice", "array":
		return "an array"
	}
	return "a number"
}

// check completes a message and says what is wrong with it.
func (m *messageInput) check(c *call) error {
	if m.ClientID == "" {
		m.ClientID = c.key
	}
	switch {
	case m.ClientID == "":
		return invalid("body.client_id", "is missing; make a new one for each message, so that it can be sent again")
	case len(m.ClientID) > 128:
		return invalid("body.client_id", "must have at most 128 bytes")
	case m.Text == "":
		return invalid("body.text", "is missing")
	}
	return checkText(m.Text)
}

// checkText says what is wrong with the text of a message or an invitation.
func checkText(text string) error {
	if len(text) > core.MaxText {
		return problem(codeMessageTooLarge, fmt.Sprintf("a message has at most %d bytes, this one has %d", core.MaxText, len(text)),
			ProblemItem{"body.text", "too long"})
	}
	if err := core.CheckMessage(text); err != nil {
		return invalid("body.text", cmdMessage(err))
	}
	return nil
}
