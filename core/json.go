package core

import (
	"bytes"
	"encoding/json"
)

// toJSON encodes v on one line, map keys sorted, without HTML escapes. The
// values of this package always encode.
func toJSON(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("core: encoding a domain value: " + err.Error())
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}
