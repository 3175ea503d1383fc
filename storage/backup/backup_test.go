package backup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

var example = Manifest{
	ClusterID: "c", NodeID: "n", Epoch: "e", Index: 7, Term: 2, StateHash: strings.Repeat("0", 32),
	Clock: 5, CreatedAt: 6, Version: "1", Size: 11, Level: 1,
}

// whole is a backup of eleven bytes, and its checksum.
func whole(t testing.TB) (file []byte, sum string) {
	t.Helper()
	var b bytes.Buffer
	sum, err := Write(&b, example, strings.NewReader("hello world and more"))
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), sum
}

// read reads a backup to its end.
func read(r io.Reader) (m Manifest, data []byte, sum string, err error) {
	b, err := Open(r)
	if err != nil {
		return m, nil, "", err
	}
	var out bytes.Buffer
	sum, err = b.Copy(&out)
	return b.Manifest(), out.Bytes(), sum, err
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	file, sum := whole(t)
	for name, r := range map[string]io.Reader{
		"at once": bytes.NewReader(file), "byte by byte": iotest.OneByteReader(bytes.NewReader(file)),
	} {
		m, data, got, err := read(r)
		if err != nil || m != example || string(data) != "hello world" || got != sum {
			t.Errorf("%s: %+v, %q, sum %s, error %v", name, m, data, got, err)
		}
	}
}

// The first programs know one format, and no feature levels: what they must not
// restore has another format, and what they can has theirs.
func TestTheFormatKeepsHigherLevelsFromTheFirstPrograms(t *testing.T) {
	for level, format := range map[int]uint32{0: 1, 1: 1, 2: 2, 7: 2} {
		m := example
		m.Level = level
		var b bytes.Buffer
		if _, err := Write(&b, m, strings.NewReader("hello world")); err != nil {
			t.Fatal(err)
		}
		if got := binary.BigEndian.Uint32(b.Bytes()[len(magic):]); got != format {
			t.Errorf("a backup of level %d is of format %d, want %d", level, got, format)
		}
		if back, _, _, err := read(&b); err != nil || back.Level != max(level, 1) {
			t.Errorf("a backup of level %d is read as %+v, error %v", level, back, err)
		}
	}
}

// about says whether an error tells who restores what is wrong with the file.
func about(err error) bool {
	return errors.Is(err, ErrNotBackup) || errors.Is(err, ErrNewer) || errors.Is(err, ErrDamaged)
}

func TestADamagedBackupIsRefusedWhereverTheDamageIs(t *testing.T) {
	file, _ := whole(t)
	for n := range file {
		if _, _, _, err := read(bytes.NewReader(file[:n])); !about(err) {
			t.Errorf("cut off after %d of %d bytes: %v", n, len(file), err)
		}
		for bit := range 8 {
			bad := bytes.Clone(file)
			bad[n] ^= 1 << bit
			if _, _, _, err := read(bytes.NewReader(bad)); !about(err) {
				t.Errorf("byte %d, bit %d turned over: %v", n, bit, err)
			}
		}
	}
	if _, _, _, err := read(bytes.NewReader(append(bytes.Clone(file), 0))); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte too many: %v", err)
	}
	newer := bytes.Clone(file)
	binary.BigEndian.PutUint32(newer[len(magic):], Format+1)
	if _, err := Open(bytes.NewReader(newer)); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer format: %v", err)
	}
}

func TestAReadErrorIsNotTakenForDamage(t *testing.T) {
	file, _ := whole(t)
	broken := errors.New("the disk is gone")
	for n := range len(file) {
		r := io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(broken))
		if _, _, _, err := read(r); !errors.Is(err, broken) {
			t.Errorf("the disk failed after %d bytes: %v", n, err)
		}
	}
}

func TestAWriterThatFailsIsToldApart(t *testing.T) {
	file, _ := whole(t)
	b, err := Open(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("no space left")
	_, err = b.Copy(failing{full})
	if !errors.Is(err, full) || about(err) {
		t.Errorf("a full disk: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestASnapshotThatEndsEarlyMakesNoBackup(t *testing.T) {
	if _, err := Write(io.Discard, example, strings.NewReader("short")); err == nil {
		t.Error("a backup was made of half a snapshot")
	}
}

// FuzzRead: whatever is read, the answer is the data or what is wrong, and the
// memory does not follow the lengths that the input names.
func FuzzRead(f *testing.F) {
	file, _ := whole(f)
	f.Add(file)
	f.Add(file[:30])
	f.Add([]byte(magic + "\x00\x00\x00\x01\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		b, err := Open(bytes.NewReader(in))
		if err == nil {
			_, err = b.Copy(io.Discard)
		}
		runtime.ReadMemStats(&after)
		if err != nil && !about(err) {
			t.Errorf("an error that names no reason: %v", err)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > uint64(16*len(in)+manifestMax+copyBuffer+64<<10) {
			t.Errorf("%d bytes of input took %d of memory", len(in), grown)
		}
	})
}
