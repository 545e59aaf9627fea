package protocol

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// checkXZ walks over the blocks of an .xz file without inflating them and refuses dictionaries above maxWindow. The library allocates what a
// block's header asks for, up to 4 GiB for a message of a hundred bytes, so the headers have to be seen first.
func checkXZ(data []byte) error {
	for {
		if !bytes.HasPrefix(data, []byte("\xfd7zXZ\x00")) || len(data) < 12 {
			return errNotXZ
		}
		checkSize := xzCheckSize(data[7] & 0x0F)
		rest, err := checkXZBlocks(data[12:], checkSize)
		if err != nil {
			return err
		}
		if data = trimPadding(rest); len(data) == 0 {
			return nil
		}
	}
}

var errNotXZ = fmt.Errorf("%w .xz data", ErrSyntax)

// trimPadding skips the zero bytes that may stand between two streams.
func trimPadding(data []byte) []byte {
	for len(data) >= 4 && binary.LittleEndian.Uint32(data) == 0 {
		data = data[4:]
	}
	return data
}

func xzCheckSize(kind byte) int {
	if kind == 0 {
		return 0
	}
	return 4 << ((kind - 1) / 3) // 4, 8, 16, 32 or 64 bytes
}

// checkXZBlocks checks the blocks of one stream and returns what follows the stream's footer.
func checkXZBlocks(data []byte, checkSize int) ([]byte, error) {
	for len(data) > 0 && data[0] != 0 {
		headerSize := (int(data[0]) + 1) * 4
		if len(data) < headerSize {
			return nil, errNotXZ
		}
		dictionary, ok := xzDictionary(data[:headerSize])
		if !ok {
			return nil, fmt.Errorf("%w .xz data: a block that is not LZMA2 alone", ErrSyntax)
		}
		if dictionary > maxWindow {
			return nil, fmt.Errorf("%w: its dictionary is %d bytes, the limit is %d", ErrTooLarge, dictionary, maxWindow)
		}
		size := lzma2Size(data[headerSize:])
		end := headerSize + (size+3)/4*4 + checkSize
		if size < 0 || len(data) < end {
			return nil, errNotXZ
		}
		data = data[end:]
	}
	return afterXZIndex(data)
}

// xzDictionary reads a block header's only filter.
func xzDictionary(header []byte) (size int64, ok bool) {
	flags, i := header[1], 2
	if flags&0x03 != 0 {
		return 0, false
	}
	for _, present := range []bool{flags&0x40 != 0, flags&0x80 != 0} { // compressed size, uncompressed size
		if present {
			_, n := binary.Uvarint(header[i:])
			if n <= 0 {
				return 0, false
			}
			i += n
		}
	}
	const lzma2 = 0x21
	if len(header) < i+3 || header[i] != lzma2 || header[i+1] != 1 {
		return 0, false
	}
	bits := header[i+2]
	if bits >= 40 {
		return 1<<32 - 1, bits == 40
	}
	return int64(2|bits&1) << (bits/2 + 11), true
}

// lzma2Size is the length of the chunks that begin data, with their end mark; -1 when there is none.
func lzma2Size(data []byte) int {
	for i := 0; i < len(data); {
		control := data[i]
		switch {
		case control == 0:
			return i + 1
		case control < 0x80: // stored: control, size
			if len(data) < i+3 {
				return -1
			}
			i += 3 + int(binary.BigEndian.Uint16(data[i+1:])) + 1
		default: // LZMA: control, inflated size, size, and properties for some
			if len(data) < i+5 {
				return -1
			}
			size := 5 + int(binary.BigEndian.Uint16(data[i+3:])) + 1
			if control >= 0xC0 {
				size++
			}
			i += size
		}
	}
	return -1
}

// afterXZIndex skips the index and the footer of a stream.
func afterXZIndex(data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, errNotXZ
	}
	i := 1
	records, n := binary.Uvarint(data[i:])
	if n <= 0 || records > uint64(len(data)) {
		return nil, errNotXZ
	}
	i += n
	for range records * 2 {
		_, n := binary.Uvarint(data[i:])
		if n <= 0 {
			return nil, errNotXZ
		}
		i += n
	}
	end := (i+3)/4*4 + 4 + 12 // padding, CRC, footer
	if len(data) < end {
		return nil, errNotXZ
	}
	return data[end:], nil
}
