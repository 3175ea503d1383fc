package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

// checkAgainstDocument fails the test if an answer is not one that the
// OpenAPI document describes.
func checkAgainstDocument(t *testing.T, doc *huma.OpenAPI, method, path string, got *answer) {
	t.Helper()
	path, _, _ = strings.Cut(path, "?")
	op := operationOf(doc, method, path)
	if op == nil {
		if !strings.HasPrefix(path, "/v1/") || got.status == http.StatusNotFound || got.status == http.StatusMethodNotAllowed || method == http.MethodOptions {
			return
		}
		t.Errorf("%s %s is not in the document", method, path)
		return
	}
	response := op.Responses[fmt.Sprint(got.status)]
	if response == nil && got.status >= 400 {
		response = op.Responses["default"]
	}
	if response == nil {
		t.Errorf("%s %s: the document has no answer %d", method, path, got.status)
		return
	}
	contentType, _, _ := strings.Cut(got.header.Get("Content-Type"), ";")
	media := response.Content[contentType]
	if media == nil {
		if len(got.body) > 0 && !strings.HasPrefix(contentType, "application/problem") {
			t.Errorf("%s %s: the document has no %q for %d", method, path, contentType, got.status)
		}
		return
	}
	if !strings.HasSuffix(contentType, "json") {
		return
	}
	var value any
	if err := json.Unmarshal(got.body, &value); err != nil {
		t.Errorf("%s %s: the answer is not JSON: %v", method, path, err)
		return
	}
	for _, wrong := range violations(doc.Components.Schemas, media.Schema, value) {
		t.Errorf("%s %s: the answer is not as documented: %s\n%s", method, path, wrong, got.body)
	}
}

// violations gives what is wrong with a value, and which of its fields the
// schema does not know.
func violations(registry huma.Registry, schema *huma.Schema, value any) []string {
	var out []string
	var res huma.ValidateResult
	huma.Validate(registry, schema, huma.NewPathBuffer([]byte{}, 0), huma.ModeReadFromServer, value, &res)
	for _, err := range res.Errors {
		out = append(out, err.Error())
	}
	return append(out, undocumented(registry, schema, value, "")...)
}

func undocumented(registry huma.Registry, schema *huma.Schema, value any, at string) (out []string) {
	for schema != nil && schema.Ref != "" {
		schema = registry.SchemaFromRef(schema.Ref)
	}
	if schema == nil {
		return nil
	}
	for _, branch := range schema.AnyOf {
		if value != nil && branch.Type != "null" {
			return undocumented(registry, branch, value, at)
		}
	}
	switch v := value.(type) {
	case map[string]any:
		for name, field := range v {
			property, known := schema.Properties[name]
			if known {
				out = append(out, undocumented(registry, property, field, at+"."+name)...)
			} else if len(schema.Properties) > 0 {
				out = append(out, "undocumented field "+at+"."+name)
			}
		}
	case []any:
		for i, elem := range v {
			out = append(out, undocumented(registry, schema.Items, elem, fmt.Sprintf("%s[%d]", at, i))...)
		}
	}
	return out
}

// operationOf finds the operation of a path.
func operationOf(doc *huma.OpenAPI, method, path string) *huma.Operation {
	var found *huma.Operation
	best := -1
	for template, item := range doc.Paths {
		fixed, ok := matchPath(template, path)
		if op := operations(item)[method]; ok && op != nil && fixed > best {
			found, best = op, fixed
		}
	}
	return found
}

// matchPath says whether a path fits a template, and in how many segments it
// is the same.
func matchPath(template, path string) (fixed int, ok bool) {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return 0, false
	}
	for i := range want {
		switch {
		case want[i] == got[i]:
			fixed++
		case !strings.HasPrefix(want[i], "{"):
			return 0, false
		}
	}
	return fixed, true
}

func operations(item *huma.PathItem) map[string]*huma.Operation {
	return map[string]*huma.Operation{
		http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodDelete: item.Delete,
		http.MethodHead: item.Head, http.MethodPatch: item.Patch, http.MethodOptions: item.Options,
	}
}

// TestEveryRouteIsInTheDocument holds that the document and the router list
// the same calls.
func TestEveryRouteIsInTheDocument(t *testing.T) {
	w := newWorld(t, 1)
	doc := w.servers[0].OpenAPI()
	for method, paths := range w.servers[0].Routes() {
		for _, path := range paths {
			if isFile(path) {
				continue
			}
			item := doc.Paths[path]
			if item == nil || operations(item)[method] == nil {
				t.Errorf("%s %s is not in the document", method, path)
			}
		}
	}
	for path, item := range doc.Paths {
		for method, op := range operations(item) {
			if op != nil && !slices.Contains(w.servers[0].Routes()[method], path) {
				t.Errorf("the document has %s %s, the router has not", method, path)
			}
		}
	}
}

// isFile says whether a route serves files, which the document leaves out.
func isFile(path string) bool {
	return strings.HasPrefix(path, "/w/") || strings.HasPrefix(path, "/console/") || strings.HasPrefix(path, "/demo/")
}

// TestTheDocumentStandsOnItsOwn reads the served document as a client does.
func TestTheDocumentStandsOnItsOwn(t *testing.T) {
	w := newWorld(t, 1)
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]struct{ OperationID string }
		Components struct {
			Schemas         map[string]json.RawMessage
			SecuritySchemes map[string]json.RawMessage
		}
	}
	got := w.stranger().do("GET", "/v1/openapi.json", nil).ok(&doc)
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("openapi is %q, want 3.1", doc.OpenAPI)
	}
	text := string(got.body)
	for _, ref := range strings.Split(text, `"$ref":"`)[1:] {
		name, _, _ := strings.Cut(ref, `"`)
		short, ok := strings.CutPrefix(name, "#/components/schemas/")
		if !ok || doc.Components.Schemas[short] == nil {
			t.Errorf("reference %s leads nowhere", name)
		}
	}
	if doc.Components.Schemas["ErrorModel"] != nil {
		t.Error("the framework's own form of errors is in the document")
	}
	for _, code := range []string{"/v1/visitor/page", "/v1/visitor/sync", "/v1/socket", "/v1/config/{kind}/simulate"} {
		if doc.Paths[code] == nil {
			t.Errorf("the document lacks %s", code)
		}
	}
}
