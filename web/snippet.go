package web

import (
	"encoding/json"
	"fmt"
	"html"
	"strings"
)

// stub is what a page runs before the loader is there: a queue for the calls
// made until then, and the loader's own fail-over. The first host that delivers
// wins; one that fails, or is silent for five seconds, is followed by the next.
const stub = `(function(w,d,n,s,h){if(w[n])return;var p=w[n]=function(){p.q.push(arguments)};p.q=[];p.site=s;p.hosts=h;` +
	`(function load(i){if(p.loaded||i>=h.length)return;var e=d.createElement("script"),t,` +
	`next=function(){clearTimeout(t);next=function(){};load(i+1)};` +
	`e.async=true;e.src=h[i]+"/w/"+s+".js";e.onload=function(){clearTimeout(t)};e.onerror=function(){next()};` +
	`t=setTimeout(function(){next()},5000);d.head.appendChild(e)})(0)})(window,document,"Parlor",%s,%s)`

// StubScript is the body of the inline script of the snippet with several
// hosts: for pages that state a CSP hash for it. hosts as in Files.Loader.
func StubScript(site string, hosts []string) (string, error) {
	name, err := json.Marshal(site)
	if err != nil {
		return "", fmt.Errorf("encoding the site: %w", err)
	}
	list, err := json.Marshal(cleanHosts(hosts))
	if err != nil {
		return "", fmt.Errorf("encoding the hosts: %w", err)
	}
	return fmt.Sprintf(stub, name, list), nil
}

// Snippet is what a customer pastes before </body>: one line for a single host,
// the stub for several, so that the widget loads while any of them is alive.
func Snippet(site string, hosts []string) (string, error) {
	hosts = cleanHosts(hosts)
	switch len(hosts) {
	case 0:
		return fmt.Sprintf(`<script async src="/w/%s.js"></script>`, html.EscapeString(site)), nil
	case 1:
		return fmt.Sprintf(`<script async src="%s/w/%s.js"></script>`, html.EscapeString(hosts[0]), html.EscapeString(site)), nil
	default:
		script, err := StubScript(site, hosts)
		if err != nil {
			return "", err
		}
		return "<script>" + strings.ReplaceAll(script, "</", `<\/`) + "</script>", nil
	}
}
