package protocol

import (
	"bytes"
	stdbzip2 "compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/dsnet/compress/bzip2"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// The content types of kombu's compressions (kombu/compression.py), as they stand in the header "compression".
const (
	CompressionZlib   = "application/x-gzip" // in spite of its name zlib's format, without gzip's header
	CompressionBzip2  = "application/x-bz2"
	CompressionBrotli = "application/x-brotli"
	CompressionLzma   = "application/x-lzma" // an .xz container
	CompressionZstd   = "application/zstd"
)

// defaultMaxBody is the limit of an inflated body where the caller has none.
const defaultMaxBody = 64 << 20

// maxWindow bounds what a decoder may allocate because a stream's header says so: zstd's window and xz's dictionary. Python's defaults
// need 2 MiB and 8 MiB; 64 MiB is what the highest preset of xz asks for.
const maxWindow = 64 << 20

// compressionType gives the content type that kombu writes into the header "compression" for a name that Celery's setting task_compression may
// hold. Any other text is returned as it is.
func compressionType(name string) string {
	switch name {
	case "gzip", "zlib":
		return CompressionZlib
	case "bzip2", "bzip":
		return CompressionBzip2
	case "lzma", "xz":
		return CompressionLzma
	case "brotli":
		return CompressionBrotli
	case "zstd", "zstandard":
		return CompressionZstd
	}
	return name
}

// Inflate undoes a compression named by its content type or by an alias of it (gzip, zlib, bzip2, bzip, lzma, xz, brotli, zstd, zstandard). A result above maxSize bytes is ErrTooLarge;
// 0 stands for 64 MiB. Memory is allocated as data comes out, never because a header announces a size.
func Inflate(contentType string, data []byte, maxSize int64) ([]byte, error) {
	kind := compressionType(contentType)
	if maxSize <= 0 {
		maxSize = defaultMaxBody
	}
	reader, err := inflater(kind, data)
	if err != nil {
		return nil, inflateError(kind, err)
	}
	defer reader.Close()
	return readBounded(kind, reader, len(data), maxSize)
}

func inflater(kind string, data []byte) (io.ReadCloser, error) {
	source := bytes.NewReader(data)
	switch kind {
	case CompressionZlib:
		return zlib.NewReader(source)
	case CompressionBzip2:
		return io.NopCloser(stdbzip2.NewReader(source)), nil
	case CompressionBrotli:
		return io.NopCloser(brotli.NewReader(source)), nil
	case CompressionLzma:
		if err := checkXZ(data); err != nil {
			return nil, err
		}
		reader, err := xz.NewReader(source)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(reader), nil
	case CompressionZstd:
		if len(data) == 0 { // no frame at all: the library calls that an empty stream, Python an error
			return nil, io.ErrUnexpectedEOF
		}
		reader, err := zstd.NewReader(source, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecodeBuffersBelow(0))
		if err != nil {
			return nil, err
		}
		return reader.IOReadCloser(), nil
	}
	return nil, fmt.Errorf("%w: no compression is called %q", ErrContentType, kind)
}

// readBounded reads all there is, up to maxSize bytes.
func readBounded(kind string, reader io.Reader, compressed int, maxSize int64) ([]byte, error) {
	out := make([]byte, 0, min(int64(compressed)*4+512, maxSize+1))
	for {
		n, err := reader.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case int64(len(out)) > maxSize:
			return nil, fmt.Errorf("inflate %s: %w: more than %d bytes", kind, ErrTooLarge, maxSize)
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, inflateError(kind, err)
		}
		if len(out) == cap(out) {
			out = append(make([]byte, 0, min(int64(cap(out))*2, maxSize+1)), out...)
		}
	}
}

func inflateError(kind string, err error) error {
	if errors.Is(err, ErrTooLarge) || errors.Is(err, ErrSyntax) || errors.Is(err, ErrContentType) {
		return fmt.Errorf("inflate %s: %w", kind, err)
	}
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return fmt.Errorf("inflate %s: %w: its window is above %d bytes", kind, ErrTooLarge, maxWindow)
	}
	return fmt.Errorf("inflate %s: %w data: %w", kind, ErrSyntax, err)
}

// Deflate compresses as kombu does for a content type or alias; each result is read by the Python module that kombu uses.
func Deflate(contentType string, data []byte) ([]byte, error) {
	kind := compressionType(contentType)
	var out bytes.Buffer
	writer, err := deflater(kind, &out, len(data))
	if err != nil {
		return nil, fmt.Errorf("deflate %s: %w", kind, err)
	}
	if encoder, ok := writer.(*zstd.Encoder); ok {
		// In one step, so that the frame says how long its content is: the Python module of kombu before 5.3 asks for that.
		return encoder.EncodeAll(data, nil), encoder.Close()
	}
	if _, err := writer.Write(data); err != nil {
		return nil, fmt.Errorf("deflate %s: %w", kind, err)
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("deflate %s: %w", kind, err)
	}
	return out.Bytes(), nil
}

func deflater(kind string, out io.Writer, size int) (io.WriteCloser, error) {
	switch kind {
	case CompressionZlib:
		return zlib.NewWriter(out), nil
	case CompressionBzip2:
		return bzip2.NewWriter(out, &bzip2.WriterConfig{Level: bzip2.BestCompression})
	case CompressionBrotli:
		return brotli.NewWriterLevel(out, brotli.DefaultCompression), nil
	case CompressionLzma:
		return xz.WriterConfig{DictCap: dictionaryFor(size)}.NewWriter(out)
	case CompressionZstd:
		// A small frame has to be a single segment, or it does not say how long its content is.
		return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
			zstd.WithSingleSegment(size < 64<<10), zstd.WithZeroFrames(true))
	}
	return nil, fmt.Errorf("%w: no compression is called %q", ErrContentType, kind)
}

// dictionaryFor is the smallest useful dictionary: the library allocates all of it, whatever the size of the data.
func dictionaryFor(size int) int {
	dictionary := 4 << 10
	for dictionary < size && dictionary < 8<<20 {
		dictionary *= 2
	}
	return dictionary
}
