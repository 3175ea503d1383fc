package main

import (
	"encoding/json"
	"fmt"
	"net"
)

// port gives the port of an address that is known to be host:port.
func port(addr string) string {
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return p
}

// jsonString gives a string field of a JSON object.
func jsonString(object []byte, field string) (string, error) {
	var fields map[string]any
	if err := json.Unmarshal(object, &fields); err != nil {
		return "", fmt.Errorf("reading JSON: %w", err)
	}
	s, ok := fields[field].(string)
	if !ok {
		return "", fmt.Errorf("reading JSON: there is no text %q", field)
	}
	return s, nil
}
