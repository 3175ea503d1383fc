package api

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Crowded is the answer, with its head, to a client for whom there is no room:
// the process has as many connections open as it may. It is the same whatever the
// client asks for, and ends the connection.
func Crowded() string {
	p := retryable(codeUnavailable, "this server has as many connections open as it may; try again in a moment, or another server", time.Second)
	body := encodeProblem(p)
	head := []string{
		fmt.Sprintf("HTTP/1.1 %d %s", p.Status, http.StatusText(p.Status)),
		"Content-Type: " + p.ContentType(""),
		"Retry-After: " + p.GetHeaders().Get("Retry-After"),
		"Access-Control-Allow-Origin: *",
		"Connection: close",
		fmt.Sprintf("Content-Length: %d", len(body)),
	}
	return strings.Join(head, "\r\n") + "\r\n\r\n" + string(body)
}
