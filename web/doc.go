// Package web holds what a browser loads: the widget's loader, the chat window,
// the agent console and the demo shop. The sources are TypeScript and Preact
// (src, vendor); their build is committed (dist) and embedded, so that neither
// the binary nor its users need Node. `go run ./web/build` makes dist again and
// a test holds that it is what the sources say.
//
// The package is pure bytes. It knows no HTTP server, no state and no node: it
// hands out Files, each with its body, the same body compressed, and the headers
// that belong to it, and api puts them on the wire:
//
//	GET /w/{site}.js        Files.Loader(site, hosts)        (404 first if there is no such site)
//	GET /w/{site}/window    Files.Window(site, ancestors)
//	GET /w/assets/{name}    Files.Asset(name, query "v")
//	GET /console/           Files.Console(hosts)
//	GET /demo/{page}        Files.Demo(page, query "lang", site, hosts)     page "" is /demo/
//
// What is served must carry File.ContentType, ETag, CacheControl and, where not
// empty, CSP (as Content-Security-Policy); api answers If-None-Match itself and
// picks File.Gzip when the client accepts it. Files never change after they
// were handed out and may be shared by goroutines; nobody writes to their bytes.
//
// The loader runs inside the customer's page and the window and the console may
// turn to another node when theirs is gone. So the API under /v1 is called
// across origins, always with a bearer token and never with cookies: it has to
// answer preflight requests and send Access-Control-Allow-Origin: * for the
// headers Authorization, Content-Type, Idempotency-Key and If-None-Match, and
// expose ETag and Retry-After. /w/{site}.js needs no CORS; the window must not
// be sent with X-Frame-Options.
//
// src/README.md tells how the parts in the browser talk to each other.
package web
