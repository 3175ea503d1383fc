package core

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/parlorchat/parlor/storage/command"
)

// keywords says which keywords a command takes and how many values follow
// each; a negative number: the keyword may come more than once.
type keywords map[string]int

// options is what a command's keywords said.
type options map[string][]string

// parse reads keywords and their values, in any order and any case.
func (k keywords) parse(args []string) (options, error) {
	out := options{}
	for i := 0; i < len(args); {
		word := strings.ToUpper(args[i])
		n, ok := k[word]
		if !ok {
			return nil, k.errUnknown(args[i])
		}
		repeats := n < 0
		if repeats {
			n = -n
		}
		if _, twice := out[word]; twice && !repeats {
			return nil, fail("ERR", "syntax error: %s stands twice", word)
		}
		if i+n >= len(args) {
			return nil, fail("ERR", "syntax error: %s takes %s", word, plural(n, "value"))
		}
		out[word] = append(out[word], args[i+1:i+1+n]...)
		i += 1 + n
	}
	return out, nil
}

func (k keywords) errUnknown(word string) error {
	known := make([]string, 0, len(k))
	for w := range k {
		known = append(known, w)
	}
	sort.Strings(known)
	if len(known) == 0 {
		return fail("ERR", "syntax error: unexpected argument %q", clip(word, 80))
	}
	return fail("ERR", "syntax error: unknown keyword %q; known are %s", clip(word, 80), strings.Join(known, " "))
}

func plural(n int, what string) string {
	if n == 1 {
		return "a " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (o options) given(word string) bool { _, ok := o[word]; return ok }

// text gives the value of a keyword, "" if it was not given.
func (o options) text(word string) string {
	if v := o[word]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// choice gives the value of a keyword that is one of some words, "" if it was
// not given.
func (o options) choice(word string, known ...string) (string, error) {
	value := o.text(word)
	if o.given(word) && !slices.Contains(known, value) {
		return "", fail(CodeInvalid, "%s %q is not known; known are %s", word, clip(value, 80), strings.Join(known, ", "))
	}
	return value, nil
}

// number gives the value of a keyword, or otherwise if it was not given.
func (o options) number(word string, otherwise, low, high int64) (int64, error) {
	if !o.given(word) {
		return otherwise, nil
	}
	return parseNumber(word, o.text(word), low, high)
}

// pairs gives the values of a repeated keyword that takes two.
func (o options) pairs(word string) map[string]string {
	v := o[word]
	if len(v) == 0 {
		return nil
	}
	out := map[string]string{}
	for i := 0; i+1 < len(v); i += 2 {
		out[v[i]] = v[i+1]
	}
	return out
}

func parseNumber(what, text string, low, high int64) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < low || n > high {
		return 0, fail(CodeInvalid, "%s is %q; it must be a whole number from %d to %d", what, clip(text, 40), low, high)
	}
	return n, nil
}

// checkName checks the id of a site, department, agent or config object.
func checkName(what, id string) error {
	if !isName(id, false) {
		return fail(CodeInvalid, "%s id %q is not valid; it has 1 to 64 of a-z 0-9 . _ - and begins with a letter or a digit", what, clip(id, 80))
	}
	return nil
}

// checkID checks the id of a visitor, chat, message or invitation.
func checkID(what, id string) error {
	if !isName(id, true) {
		return fail(CodeInvalid, "%s id %q is not valid; a UUID is expected, 1 to 64 of a-z A-Z 0-9 . _ - are allowed", what, clip(id, 80))
	}
	return nil
}

func isName(id string, upper bool) bool {
	if len(id) < 1 || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', upper && c >= 'A' && c <= 'Z':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return true
}

// checkText checks a text that is stored: its size in bytes and its encoding.
func checkText(what, text string, limit int) error {
	if len(text) > limit {
		return fail(CodeInvalid, "%s has %d bytes; at most %d are allowed", what, len(text), limit)
	}
	if !utf8.ValidString(text) {
		return fail(CodeInvalid, "%s is not valid UTF-8", what)
	}
	return nil
}

// CheckMessage checks the text of a message or an invitation: LIMIT if it is
// too long, INVALID if it is no text that somebody could read.
func CheckMessage(text string) error {
	switch {
	case len(text) > MaxText:
		return fail(CodeLimit, "the text has %d bytes; at most %d are allowed", len(text), MaxText)
	case text == "":
		return fail(CodeInvalid, "the text is empty")
	case !utf8.ValidString(text):
		return fail(CodeInvalid, "the text is not valid UTF-8")
	case strings.TrimSpace(text) == "":
		return fail(CodeInvalid, "the text is only white space")
	}
	for _, r := range strings.ReplaceAll(text, "\r\n", "\n") {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return fail(CodeInvalid, "the text has the control character U+%04X; newline and tab are allowed", r)
		}
	}
	return nil
}

// checkObject checks that a text is a JSON object.
func checkObject(what, text string, limit int) error {
	if err := checkText(what, text, limit); err != nil {
		return err
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &m); err != nil || m == nil {
		return fail(CodeInvalid, "%s is not a JSON object", what)
	}
	return nil
}

// splitNames reads a list of ids that commas separate; "" is the empty list.
func splitNames(what, text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	ids := strings.Split(text, ",")
	for i, id := range ids {
		ids[i] = strings.TrimSpace(id)
		if err := checkName(what, ids[i]); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// withID is a Prepare that gives a command without ID one, so that the id
// stays the same should the command be proposed again. first is where the
// keywords begin.
func withID(first int, k keywords) func([][]byte) ([][]byte, error) {
	return func(args [][]byte) ([][]byte, error) {
		if len(args) < first {
			return args, nil
		}
		o, err := k.parse(texts(args[first:]))
		if err != nil || o.given("ID") {
			return args, err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("making an id: %w", err)
		}
		return append(args[:len(args):len(args)], []byte("ID"), []byte(id.String())), nil
	}
}

// id gives the id that the command carries, or one made of the entry's time
// and randomness.
func (s *step) id(what string, o options) (string, error) {
	if o.given("ID") {
		return o.text("ID"), checkID(what, o.text("ID"))
	}
	return newID(s.Call), nil
}

// newID makes a UUIDv7 that is the same on every node.
func newID(c *command.Call) string {
	var u uuid.UUID
	hi, lo := c.Rand.Uint64(), c.Rand.Uint64()
	for i := range 6 {
		u[i] = byte(c.Now >> (40 - 8*i))
	}
	u[6], u[7] = 0x70|byte(hi>>8)&0x0f, byte(hi)
	for i := range 8 {
		u[8+i] = byte(lo >> (56 - 8*i))
	}
	u[8] = 0x80 | u[8]&0x3f
	return u.String()
}
