package api

import (
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestTokensSayWhatTheySaid: what was signed is read again, with no other key.
func TestTokensSayWhatTheySaid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")
		want := visitorClaims{
			Site:    rapid.StringMatching(`[a-z0-9][a-z0-9._-]{0,63}`).Draw(t, "site"),
			Visitor: rapid.StringMatching(`[0-9a-f-]{36}`).Draw(t, "visitor"),
			Expires: rapid.Int64Range(1, 1<<50).Draw(t, "expires"),
		}
		token := signVisitor(key, want)
		got, err := verifyVisitor(key, token, want.Expires-1)
		if err != nil || got != want {
			t.Fatalf("signed %+v, read %+v, %v", want, got, err)
		}
		if _, err := verifyVisitor(key, token, want.Expires); err == nil {
			t.Fatal("a token is good when its time is over")
		}
		at := rapid.IntRange(0, len(token)-1).Draw(t, "at")
		changed := token[:at] + rapid.StringMatching(`[A-Za-z0-9_-]`).Draw(t, "letter") + token[at+1:]
		if _, err := verifyVisitor(key, changed, 0); err == nil && changed != token {
			t.Fatalf("%q was accepted in place of %q", changed, token)
		}
	})
}

// FuzzVerifyVisitor: no token breaks the decoder, and none but a signed one is
// good.
func FuzzVerifyVisitor(f *testing.F) {
	key := []byte("0123456789abcdef0123456789abcdef")
	good := signVisitor(key, visitorClaims{Site: "shop", Visitor: "v", Expires: 1 << 50})
	for _, seed := range []string{"", ".", "..", "v1..", good, good + ".", strings.ToUpper(good), "v1.e30." + strings.Repeat("A", 43)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		claims, err := verifyVisitor(key, token, 0)
		if err == nil && signVisitor(key, claims) != token {
			t.Fatalf("%q is taken for a token of %+v", token, claims)
		}
	})
}

// FuzzDecodeMessage: no body breaks the decoder; what it takes is a message.
func FuzzDecodeMessage(f *testing.F) {
	for _, seed := range []string{``, `{}`, `{"text":1}`, `{"client_id":"1","text":"a"}`, `{"client_id":"1","text":"a"}{}`, `[`, `null`, "\"\xff\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := decodeMessage[messageInput](body)
		if err != nil {
			if p, ok := asProblem(err); !ok || p.Status/100 != 4 {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if m.check(&call{}) == nil && (m.Text == "" || m.ClientID == "") {
			t.Fatalf("%q is taken for %+v", body, m)
		}
	})
}

// TestDerivedIDs: the same call gives the same id, and any other another one.
func TestDerivedIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.StringN(0, 8, -1), 1, 4).Draw(t, "parts")
		others := rapid.SliceOfN(rapid.StringN(0, 8, -1), 1, 4).Draw(t, "others")
		one, same, other := deriveID([]byte("k"), parts...), deriveID([]byte("k"), parts...), deriveID([]byte("k"), others...)
		if one != same {
			t.Fatalf("%q gives %s and %s", parts, one, same)
		}
		if one == other && strings.Join(parts, "\x00") != strings.Join(others, "\x00") {
			t.Fatalf("%q and %q give %s", parts, others, one)
		}
		if len(one) != 36 || one[14] != '8' || !strings.ContainsRune("89ab", rune(one[19])) {
			t.Fatalf("%s is no UUIDv8", one)
		}
	})
}

// TestCodesAreDocumented holds docs/http.md to the table of codes.
func TestCodesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]bool{}
	for _, word := range strings.FieldsFunc(string(doc), func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }) {
		words[word] = true
	}
	for code, status := range statusOf {
		if !words[code] {
			t.Errorf("docs/http.md does not name the code %s", code)
		}
		if status < 400 || status > 599 {
			t.Errorf("the code %s has status %d", code, status)
		}
	}
	for name, code := range commandCodes {
		if statusOf[code] == 0 {
			t.Errorf("the code %s of commands leads to %q, which is none", name, code)
		}
	}
}

// TestLimiterForgets: buckets that nobody uses do not pile up.
func TestLimiterForgets(t *testing.T) {
	l := newLimiter(Rate{PerSecond: 1, Burst: 1})
	now := time.Unix(1_000_000, 0)
	for i := range 10_000 {
		l.allow(strings.Repeat("k", i%97)+string(rune('a'+i%26)), now)
	}
	now = now.Add(2 * bucketIdle)
	for i := range 1000 {
		l.allow(string(rune('A'+i)), now)
	}
	kept := 0
	for i := range l.shards {
		kept += len(l.shards[i].buckets)
	}
	if kept > 1000 {
		t.Fatalf("%d buckets are kept", kept)
	}
}
