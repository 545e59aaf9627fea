package protocol

import (
	"bytes"
	"compress/bzip2"
	"compress/zlib"
	"errors"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	dsnetbzip2 "github.com/dsnet/compress/bzip2"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// The content types that kombu writes into headers.compression (kombu/compression.py).
const (
	CompressionZlib   = "application/x-gzip" // zlib's format in spite of its name: there is no gzip header
	CompressionBzip2  = "application/x-bz2"
	CompressionLzma   = "application/x-lzma" // an .xz container
	CompressionBrotli = "application/x-brotli"
	CompressionZstd   = "application/zstd"
)

// compressionType accepts kombu's short names beside the content types.
func compressionType(name string) string {
	switch name {
	case "zlib", "gzip":
		return CompressionZlib
	case "bzip2", "bz2":
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

// Inflate undoes a compression named by its content type (or kombu's short name). More than most bytes of output is an error that wraps ErrTooLarge; no more
// than that is ever allocated for the output, and the decoders' own windows are bounded too.
func Inflate(contentType string, data []byte, most int64) ([]byte, error) {
	reader, err := inflater(compressionType(contentType), data, most)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	var out bytes.Buffer
	n, err := io.Copy(&out, io.LimitReader(reader, most+1))
	if n > most {
		return nil, fmt.Errorf("%w: the body inflates to more than %d bytes", ErrTooLarge, most)
	}
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return nil, fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w body: inflate %s: %w", ErrSyntax, contentType, err)
	}
	return out.Bytes(), nil
}

func inflater(contentType string, data []byte, most int64) (io.ReadCloser, error) {
	var reader io.ReadCloser
	var err error
	input := bytes.NewReader(data)
	switch contentType {
	case CompressionZlib:
		reader, err = zlib.NewReader(input)
	case CompressionBzip2:
		reader = io.NopCloser(bzip2.NewReader(input))
	case CompressionLzma:
		var r *xz.Reader
		// The dictionary's size is the sender's word: no larger than xz -9 writes.
		r, err = xz.ReaderConfig{DictCap: 64 << 20, SingleStream: true}.NewReader(input)
		reader = io.NopCloser(r)
	case CompressionBrotli:
		reader = io.NopCloser(brotli.NewReader(input))
	case CompressionZstd:
		var d *zstd.Decoder
		d, err = zstd.NewReader(input, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20), zstd.WithDecoderLowmem(true))
		if err == nil {
			reader = d.IOReadCloser()
		}
	default:
		return nil, fmt.Errorf("%w: no compression is called %q", ErrContentType, contentType)
	}
	if err != nil {
		return nil, fmt.Errorf("%w body: inflate %s: %w", ErrSyntax, contentType, err)
	}
	return reader, nil
}

// Deflate compresses data as kombu does under the given content type or short name.
func Deflate(contentType string, data []byte) ([]byte, error) {
	var out bytes.Buffer
	writer, err := deflater(compressionType(contentType), &out)
	if err != nil {
		return nil, err
	}
	if _, err := writer.Write(data); err != nil {
		return nil, fmt.Errorf("deflate %s: %w", contentType, err)
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("deflate %s: %w", contentType, err)
	}
	return out.Bytes(), nil
}

func deflater(contentType string, out io.Writer) (io.WriteCloser, error) {
	switch contentType {
	case CompressionZlib:
		return zlib.NewWriter(out), nil
	case CompressionBzip2:
		return dsnetbzip2.NewWriter(out, nil)
	case CompressionLzma:
		return xz.NewWriter(out)
	case CompressionBrotli:
		return brotli.NewWriter(out), nil
	case CompressionZstd:
		return zstd.NewWriter(out, zstd.WithEncoderConcurrency(1))
	}
	return nil, fmt.Errorf("%w: no compression is called %q", ErrContentType, contentType)
}
