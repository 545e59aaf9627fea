package protocol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/lovage-go/lovage/internal/testenv"
)

var allCompressions = []string{CompressionZlib, CompressionBzip2, CompressionBrotli, CompressionLzma, CompressionZstd}

// bodies are what compressors meet: nothing, text, noise, long runs.
func bodies() [][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 200_000)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	out := [][]byte{{}, {0}, []byte(`[[1, 2], {}, {"callbacks": null}]`), noise, make([]byte, 1<<20), bytes.Repeat([]byte("Wetterdaten é "), 30_000)}
	for range 40 {
		body := make([]byte, random.IntN(5000))
		letters := random.IntN(255) + 1
		for i := range body {
			body[i] = byte(random.IntN(letters))
		}
		out = append(out, body)
	}
	return out
}

func TestPythonReadsWhatWeDeflateAndWeReadPythons(t *testing.T) {
	p := startPython(t, testenv.Celery57)
	type compressed struct {
		Kind string `json:"kind"`
		Data string `json:"data"`
	}
	for _, kind := range allCompressions {
		var ours, plain []compressed
		for _, body := range bodies() {
			deflated, err := Deflate(kind, body)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			ours = append(ours, compressed{kind, toBase64(deflated)})
			plain = append(plain, compressed{kind, toBase64(body)})
		}
		read, written := ask(p, "inflate", ours), ask(p, "deflate", plain)
		for i, body := range bodies() {
			if read[i].Error != "" || !bytes.Equal(read[i].bytes(t), body) {
				t.Errorf("%s: Python reads our %d bytes as %q", kind, len(body), read[i].Error)
			}
			inflated, err := Inflate(kind, written[i].bytes(t), 0)
			if err != nil || !bytes.Equal(inflated, body) {
				t.Errorf("%s: Python's %d bytes: %v", kind, len(body), err)
			}
		}
	}
}

func TestInflateKnowsKombusAliases(t *testing.T) {
	for _, name := range []string{"gzip", "zlib", "bzip2", "bzip", "lzma", "xz", "brotli", "zstd", "zstandard"} {
		deflated, err := Deflate(name, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if out, err := Inflate(name, deflated, 0); err != nil || string(out) != "x" {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	if _, err := Inflate("application/x-snappy", nil, 0); !errors.Is(err, ErrContentType) {
		t.Errorf("unknown compression: %v", err)
	}
}

func TestInflateStopsAtItsLimit(t *testing.T) {
	for _, kind := range allCompressions {
		exact, err := Deflate(kind, make([]byte, 1000))
		if err != nil {
			t.Fatal(err)
		}
		if out, err := Inflate(kind, exact, 1000); err != nil || len(out) != 1000 {
			t.Errorf("%s: at the limit: %v", kind, err)
		}
		if _, err := Inflate(kind, exact, 999); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: one above the limit: %v", kind, err)
		}
		bomb, err := Deflate(kind, make([]byte, 24<<20))
		if err != nil {
			t.Fatal(err)
		}
		used := allocated(func() {
			if _, err := Inflate(kind, bomb, 1<<20); !errors.Is(err, ErrTooLarge) {
				t.Errorf("%s: a bomb of %d bytes: %v", kind, len(bomb), err)
			}
		})
		if used > 32<<20 {
			t.Errorf("%s: a limit of 1 MiB, and %d MiB were allocated", kind, used>>20)
		}
	}
}

func TestInflateRefusesDamage(t *testing.T) {
	for _, kind := range allCompressions {
		whole, err := Deflate(kind, bytes.Repeat([]byte("hail "), 100))
		if err != nil {
			t.Fatal(err)
		}
		for _, damaged := range [][]byte{{}, whole[:len(whole)/2], whole[:len(whole)-1], []byte("no such data at all, not at all")} {
			if _, err := Inflate(kind, damaged, 0); !errors.Is(err, ErrSyntax) {
				t.Errorf("%s: %d bytes of %d: %v", kind, len(damaged), len(whole), err)
			}
		}
	}
}

func TestInflateRefusesHugeWindows(t *testing.T) {
	// A frame that announces a window of 512 MiB and holds one empty block.
	frame := []byte{0x28, 0xB5, 0x2F, 0xFD, 0x00, 19 << 3, 0x01, 0x00, 0x00}
	used := allocated(func() {
		if _, err := Inflate("zstd", frame, 0); !errors.Is(err, ErrTooLarge) {
			t.Errorf("zstd window: %v", err)
		}
	})
	file, err := Deflate("xz", []byte("small"))
	if err != nil {
		t.Fatal(err)
	}
	header := file[12 : 12+(int(file[12])+1)*4]
	header[bytes.IndexByte(header, 0x21)+2] = 40 // 4 GiB
	binary.LittleEndian.PutUint32(header[len(header)-4:], crc32.ChecksumIEEE(header[:len(header)-4]))
	used += allocated(func() {
		if _, err := Inflate("xz", file, 0); !errors.Is(err, ErrTooLarge) {
			t.Errorf("xz dictionary: %v", err)
		}
	})
	if used > 16<<20 {
		t.Errorf("%d MiB were allocated", used>>20)
	}
}

func TestInflateReadsSeveralXZStreams(t *testing.T) {
	first, _ := Deflate("xz", []byte("one "))
	second, _ := Deflate("xz", []byte("two"))
	both := append(append(first, 0, 0, 0, 0), second...)
	if out, err := Inflate("xz", both, 0); err != nil || string(out) != "one two" {
		t.Errorf("%q, %v", out, err)
	}
}

// allocated counts the bytes that work allocates.
func allocated(work func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	work()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func FuzzInflate(f *testing.F) {
	for i, kind := range allCompressions {
		for _, body := range [][]byte{{}, []byte("hail, storm, flood"), make([]byte, 3000)} {
			deflated, err := Deflate(kind, body)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(byte(i), deflated)
		}
	}
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		kind := allCompressions[int(which)%len(allCompressions)]
		const limit = 1 << 16
		out, err := Inflate(kind, data, limit)
		if err == nil && len(out) > limit {
			t.Errorf("%s: %d bytes came out, the limit is %d", kind, len(out), limit)
		}
	})
}
