package resp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var testLimits = FrameLimits{Elements: 64, Bulk: 1 << 10, Inline: 256, Command: 4 << 10}

// parseAll feeds a stream in pieces, as the guard does, and tells the commands
// and the error, if any, as text.
func parseAll(p *frameParser, pieces ...[]byte) (commands []string, err error) {
	var buf []byte
	for _, piece := range pieces {
		buf = append(buf, piece...)
		for {
			args, n, err := p.parse(buf)
			buf = buf[n:]
			if err != nil {
				return commands, err
			}
			if args == nil {
				break
			}
			commands = append(commands, fmt.Sprintf("%q", args))
		}
	}
	return commands, nil
}

// The result does not depend on where the network cuts the stream.
func TestFramesAreIndependentOfCuts(t *testing.T) {
	streams := map[string]string{
		"arrays":         frame("SET", "k", "v\r\n\x00") + frame("GET", "k") + frame("ECHO", ""),
		"inline":         "PING\r\nSET a 'b c'\n\r\n  GET \"\\x41\"\r\n",
		"mixed":          "*0\r\n*-1\r\nPING\r\n" + frame("PING"),
		"bad count":      frame("PING") + "*x\r\n" + frame("PING"),
		"bad length":     frame("PING") + "*1\r\n$-3\r\n",
		"no dollar":      frame("PING") + "*1\r\n+PING\r\n",
		"bad end":        "*1\r\n$2\r\nabcd\r\n",
		"quotes":         "SET 'a\r\n",
		"long line":      strings.Repeat("x", 300) + "\r\n",
		"long count":     "*" + strings.Repeat("1", 300),
		"long length":    "*1\r\n$" + strings.Repeat("1", 300),
		"large argument": "*1\r\n$1025\r\n",
		"large command":  "*5\r\n" + strings.Repeat("$1024\r\n"+strings.Repeat("x", 1024)+"\r\n", 5),
		"many arguments": "*65\r\n",
		"overflow":       "*1\r\n$9223372036854775807\r\nx\r\n",
	}
	for name, stream := range streams {
		t.Run(name, func(t *testing.T) {
			whole := &frameParser{limits: testLimits}
			want, wantErr := parseAll(whole, []byte(stream))
			step := max(1, len(stream)/500)
			for cut := 0; cut <= len(stream); cut += step {
				p := &frameParser{limits: testLimits}
				got, err := parseAll(p, []byte(stream[:cut]), []byte(stream[cut:]))
				if fmt.Sprint(got, err) != fmt.Sprint(want, wantErr) {
					t.Fatalf("cut at %d: %v %v, whole: %v %v", cut, got, err, want, wantErr)
				}
			}
			single := bytes.Split([]byte(stream), nil)
			p := &frameParser{limits: testLimits}
			if got, err := parseAll(p, single...); fmt.Sprint(got, err) != fmt.Sprint(want, wantErr) {
				t.Fatalf("byte by byte: %v %v, whole: %v %v", got, err, want, wantErr)
			}
		})
	}
}

// What a client writes is what the server reads, whatever the bytes.
func TestFramesCarryAnyBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		commands := rapid.SliceOfN(rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 40), 1, 8), 1, 5).Draw(t, "commands")
		var stream bytes.Buffer
		var want []string
		for _, c := range commands {
			words := make([]string, len(c))
			for i := range c {
				words[i] = string(c[i])
			}
			stream.WriteString(frame(words...))
			want = append(want, fmt.Sprintf("%q", c))
		}
		cut := rapid.IntRange(0, stream.Len()).Draw(t, "cut")
		b := stream.Bytes()
		got, err := parseAll(&frameParser{limits: testLimits}, b[:cut:cut], b[cut:])
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("sent %v, read %v, %v", want, got, err)
		}
	})
}

// FuzzFrames: no stream makes the parser panic, keep more than it was given,
// exceed a limit, or depend on the cut.
func FuzzFrames(f *testing.F) {
	for _, seed := range []string{
		frame("SET", "k", "v"), "PING\r\n", "*1\r\n$9223372036854775807\r\nx\r\n", "*9223372036854775807\r\n", "*-1\r\n*0\r\n",
		"SET \"a\\x4", "'", "*2\r\n$0\r\n\r\n$1\r\n", "*00001\r\n", "$1\r\n\r\n", "\x00\r\n",
	} {
		f.Add([]byte(seed), 3, false)
	}
	f.Fuzz(func(t *testing.T, stream []byte, cut int, strict bool) {
		if cut < 0 || cut > len(stream) {
			cut = len(stream) / 2
		}
		limits := testLimits
		if strict {
			limits = preAuthLimits
		}
		whole := &frameParser{limits: limits, strict: strict}
		want, wantErr := parseAll(whole, stream)
		if cap(whole.bulk) > allocStep+2*len(stream) || cap(whole.args) > 64+2*len(stream) {
			t.Fatalf("%d bytes made the parser hold %d bytes and %d arguments", len(stream), cap(whole.bulk), cap(whole.args))
		}
		got, err := parseAll(&frameParser{limits: limits, strict: strict}, stream[:cut:cut], stream[cut:])
		if fmt.Sprint(got, err) != fmt.Sprint(want, wantErr) {
			t.Fatalf("cut at %d: %v %v, whole: %v %v", cut, got, err, want, wantErr)
		}
	})
}

// FuzzInline: what people can type never panics, and quoting with %q-like
// escapes is understood.
func FuzzInline(f *testing.F) {
	f.Add([]byte(`SET k "a b" 'c\'d' "\x41\n"`))
	f.Add([]byte("a\x00b"))
	f.Fuzz(func(t *testing.T, line []byte) {
		args, ok := splitInline(line)
		if !ok {
			return
		}
		var quoted []string
		for _, a := range args {
			q := `"`
			for _, c := range a {
				q += fmt.Sprintf(`\x%02x`, c)
			}
			quoted = append(quoted, q+`"`)
		}
		again, ok := splitInline([]byte(strings.Join(quoted, " ")))
		if !ok || fmt.Sprintf("%q", again) != fmt.Sprintf("%q", args) {
			t.Fatalf("%q quoted is %q", args, again)
		}
	})
}

// The replies to a pipeline are the same, however its bytes are cut.
func TestPipelineIsIndependentOfCuts(t *testing.T) {
	var pipeline strings.Builder
	for i := range 30 {
		pipeline.WriteString(frame("INCR", "n"))
		pipeline.WriteString(frame("GET", "n"))
		if i%7 == 0 {
			pipeline.WriteString("PING\r\n" + frame("NOSUCH") + frame("MULTI") + frame("INCR", "n") + frame("EXEC"))
		}
	}
	stream := pipeline.String()
	var want string
	for cut := 0; cut < len(stream); cut += 61 {
		srv := startServer(t, Config{}, newFakeStore())
		c := dial(t, srv.Addr())
		c.write(stream[:cut])
		if cut%2 == 0 { // let the server see the first part alone
			waitFor(t, "the first part to arrive", func() bool { return srv.Stats().BytesIn.Load() == int64(cut) })
		}
		c.write(stream[cut:] + "QUIT\r\n")
		var got strings.Builder
		for range 60 + 5*5 + 1 {
			got.WriteString(c.read() + " ")
		}
		c.wantClosed()
		if want == "" {
			want = got.String()
		}
		if got.String() != want {
			t.Fatalf("cut at %d:\n%s\nbefore:\n%s", cut, got.String(), want)
		}
	}
	if !strings.HasPrefix(want, `:1 "1" +PONG -ERR unknown command 'NOSUCH', with args beginning with:  +OK +QUEUED [:2] :3 "3" `) {
		t.Errorf("the replies begin %.200s", want)
	}
}
