package core

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/parlorchat/parlor/storage/command"
)

// builder puts the arguments of a command together.
type builder struct{ args command.Args }

func build(name string, ids ...string) *builder {
	b := &builder{}
	return b.add(name).add(ids...)
}

func (b *builder) add(args ...string) *builder {
	for _, a := range args {
		b.args = append(b.args, []byte(a))
	}
	return b
}

// text adds a keyword and its value unless the value is empty.
func (b *builder) text(keyword, value string) *builder {
	if value == "" {
		return b
	}
	return b.add(keyword, value)
}

// set adds a keyword and its value unless it was not given; an empty value
// clears.
func (b *builder) set(keyword string, value *string) *builder {
	if value == nil {
		return b
	}
	return b.add(keyword, *value)
}

// number adds a keyword and its value unless it is 0.
func (b *builder) number(keyword string, value int64) *builder {
	if value == 0 {
		return b
	}
	return b.add(keyword, strconv.FormatInt(value, 10))
}

// setNumber adds a keyword and its value unless it was not given.
func (b *builder) setNumber(keyword string, value *int64) *builder {
	if value == nil {
		return b
	}
	return b.add(keyword, strconv.FormatInt(*value, 10))
}

// fields adds names and values in the order of the names.
func (b *builder) fields(m map[string]string) *builder {
	for _, name := range sortedKeys(m) {
		b.add(name, m[name])
	}
	return b
}

// vars adds VAR name value in the order of the names.
func (b *builder) vars(m map[string]string) *builder {
	for _, name := range sortedKeys(m) {
		b.add("VAR", name, m[name])
	}
	return b
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// resultOK reads a reply that says only that it was done.
func resultOK(r command.Reply) error { return r.Err() }

// resultInt reads a number.
func resultInt(r command.Reply) (int64, error) {
	if err := r.Err(); err != nil {
		return 0, err
	}
	if r.Kind != command.KindInt {
		return 0, errReply("a number", r)
	}
	return r.Int, nil
}

// resultBool reads 1 or 0.
func resultBool(r command.Reply) (bool, error) {
	n, err := resultInt(r)
	return n == 1, err
}

// resultText reads a string.
func resultText(r command.Reply) (string, error) {
	if err := r.Err(); err != nil {
		return "", err
	}
	if r.Kind != command.KindBulk && r.Kind != command.KindSimple {
		return "", errReply("a string", r)
	}
	return r.Text(), nil
}

func errReply(want string, got command.Reply) error {
	return fmt.Errorf("reading a reply: expected %s, got kind %d with %d elements", want, got.Kind, len(got.Elems))
}
