package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

const (
	maxDocument  = 256 << 10 // bytes of a document
	maxJSONDepth = 32        // arrays and objects inside one another
)

// parseJSON reads a document into maps, slices, strings, bools, json.Numbers
// and nils. Unlike encoding/json it refuses an object that has a key twice.
func parseJSON(doc []byte) (any, *Error) {
	if len(doc) > maxDocument {
		return nil, &Error{Message: fmt.Sprintf("the document has %d bytes, at most %d are allowed", len(doc), maxDocument)}
	}
	d := &decoder{json: json.NewDecoder(bytes.NewReader(doc)), doc: doc}
	d.json.UseNumber()
	v, err := d.value("", 0)
	if err != nil {
		return nil, err
	}
	if _, tokErr := d.json.Token(); tokErr != io.EOF {
		return nil, &Error{Message: "there is something after the end of the JSON document, " + d.place(d.json.InputOffset())}
	}
	return v, nil
}

type decoder struct {
	json *json.Decoder
	doc  []byte
}

func (d *decoder) value(path string, depth int) (any, *Error) {
	if depth > maxJSONDepth {
		return nil, &Error{path, fmt.Sprintf("nested deeper than %d", maxJSONDepth)}
	}
	tok, err := d.json.Token()
	if err != nil {
		return nil, d.syntax(err)
	}
	switch tok {
	case json.Delim('{'):
		return d.object(path, depth)
	case json.Delim('['):
		return d.array(path, depth)
	}
	return tok, nil
}

func (d *decoder) object(path string, depth int) (any, *Error) {
	out := map[string]any{}
	for d.json.More() {
		tok, err := d.json.Token()
		if err != nil {
			return nil, d.syntax(err)
		}
		key, ok := tok.(string)
		if !ok {
			return nil, &Error{path, "not valid JSON: a name must be a string, " + d.place(d.json.InputOffset())}
		}
		at := join(path, key)
		if _, twice := out[key]; twice {
			return nil, &Error{at, "stands twice"}
		}
		v, perr := d.value(at, depth+1)
		if perr != nil {
			return nil, perr
		}
		out[key] = v
	}
	if _, err := d.json.Token(); err != nil {
		return nil, d.syntax(err)
	}
	return out, nil
}

func (d *decoder) array(path string, depth int) (any, *Error) {
	out := []any{}
	for d.json.More() {
		v, err := d.value(index(path, len(out)), depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	if _, err := d.json.Token(); err != nil {
		return nil, d.syntax(err)
	}
	return out, nil
}

func (d *decoder) syntax(err error) *Error {
	var s *json.SyntaxError
	switch {
	case errors.As(err, &s):
		return &Error{Message: "not valid JSON: " + s.Error() + ", " + d.place(s.Offset)}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{Message: "not valid JSON: it ends too early"}
	}
	return &Error{Message: "not valid JSON: " + err.Error()}
}

// place gives the line and column (in bytes, from 1) of an offset.
func (d *decoder) place(offset int64) string {
	before := d.doc[:min(max(int(offset), 0), len(d.doc))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - (bytes.LastIndexByte(before, '\n') + 1)
	return fmt.Sprintf("line %d, column %d", line, max(column, 1))
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// object reads the fields of a JSON object and remembers which it was asked
// for, so that close can tell the others as unknown.
type object struct {
	path   string
	fields map[string]any
	known  []string
	*report
}

func newObject(r *report, path string, v any) *object {
	m, ok := v.(map[string]any)
	if !ok {
		r.add(path, "must be an object, not %s", describe(v))
		m = map[string]any{}
		return &object{path: path, fields: m, report: r}
	}
	return &object{path: path, fields: m, report: r}
}

// get gives a field; an explicit null is as if it were not there.
func (o *object) get(key string) (v any, at string, ok bool) {
	o.known = append(o.known, key)
	v = o.fields[key]
	return v, join(o.path, key), v != nil
}

// text gives a string field of min to max bytes; min 0: it may be missing.
func (o *object) text(key string, min, max int) string {
	v, at, ok := o.get(key)
	if !ok {
		if min > 0 {
			o.add(at, "is missing")
		}
		return ""
	}
	s, ok := v.(string)
	switch {
	case !ok:
		o.add(at, "must be a string, not %s", describe(v))
	case len(s) < min, min > 0 && strings.TrimSpace(s) == "":
		o.add(at, "must not be empty")
	case len(s) > max:
		o.add(at, "has %d bytes, at most %d are allowed", len(s), max)
	}
	return s
}

// choice gives a string field that is one of some words; fallback if it is
// missing, which is an error if fallback is "".
func (o *object) choice(key, fallback string, words ...string) string {
	v, at, ok := o.get(key)
	if !ok {
		if fallback == "" {
			o.add(at, "is missing; it must be %s", quoted(words))
		}
		return fallback
	}
	s, ok := v.(string)
	if !ok || !slices.Contains(words, s) {
		o.add(at, "must be %s, not %s%s", quoted(words), describe(v), suggest(s, words))
	}
	return s
}

// boolean gives a field that is true or false.
func (o *object) boolean(key string, fallback bool) bool {
	v, at, ok := o.get(key)
	if !ok {
		return fallback
	}
	b, ok := v.(bool)
	if !ok {
		o.add(at, "must be true or false, not %s", describe(v))
	}
	return b
}

// integer gives a whole number from min to max.
func (o *object) integer(key string, fallback, min, max int) int {
	v, at, ok := o.get(key)
	if !ok {
		return fallback
	}
	num, _ := v.(json.Number)
	n, err := strconv.Atoi(string(num))
	if err != nil || n < min || n > max {
		o.add(at, "must be a whole number from %d to %d, not %s", min, max, describe(v))
		return fallback
	}
	return n
}

// list gives the elements of an array; ok false: there is none.
func (o *object) list(key string, max int) (elems []any, at string, ok bool) {
	v, at, ok := o.get(key)
	if !ok {
		return nil, at, false
	}
	elems, ok = v.([]any)
	switch {
	case !ok:
		o.add(at, "must be an array, not %s", describe(v))
	case len(elems) > max:
		o.add(at, "has %d elements, at most %d are allowed", len(elems), max)
		return nil, at, false
	}
	return elems, at, ok
}

// object gives a field that is an object; nil if it is missing.
func (o *object) object(key string) *object {
	v, at, ok := o.get(key)
	if !ok {
		return nil
	}
	return newObject(o.report, at, v)
}

// close reports the fields that nobody asked for.
func (o *object) close() {
	for _, key := range slices.Sorted(maps.Keys(o.fields)) {
		if !slices.Contains(o.known, key) {
			o.add(join(o.path, clip(key)), "unknown field%s", suggest(key, o.known))
		}
	}
}

// describe names a JSON value in an error message.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return strconv.Quote(clip(v))
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return clip(v.String())
	case []any:
		return "an array"
	}
	return "an object"
}

// clip shortens what is shown in a message.
func clip(s string) string {
	const longest = 80
	if len(s) <= longest {
		return s
	}
	return s[:longest] + "…"
}
