package protocol

import (
	"strings"
	"testing"
)

// damaged changes a few bytes, as a broken or hostile sender would.
func (r randomValues) damaged(data []byte) []byte {
	out := append([]byte(nil), data...)
	for range 1 + r.IntN(4) {
		if len(out) == 0 {
			return out
		}
		at := r.IntN(len(out))
		switch r.IntN(4) {
		case 0:
			out[at] = byte(r.Uint32())
		case 1:
			out[at] ^= 1 << r.IntN(8)
		case 2:
			out[at] = []byte{0, 0xFF, 0x7F, 0x80, 0xDF, 0xDD, 0xC6, '[', '{', '"', '&', '*', '-'}[r.IntN(13)]
		default:
			out = append(out[:at], out[at+r.IntN(len(out)-at):]...)
		}
	}
	return out
}

// TestDamagedInputAllocatesWithinBounds: whatever the bytes say, a decoder takes no more memory than its limit and its own windows.
func TestDamagedInputAllocatesWithinBounds(t *testing.T) {
	r := newRandomValues(11)
	text := []byte("[" + strings.Repeat(`{"region": "north", "cells": [1, 2.5, null, true], "name": "H\u00e4gel"}, `, 50) + "[]]")
	const limit = 1 << 16
	lim := Limits{MaxBody: limit}
	type decoder struct {
		name   string
		seed   []byte
		most   uint64 // bytes that one decoding may allocate
		decode func(data []byte)
	}
	packed, err := encodeMsgpack(text)
	if err != nil {
		t.Fatal(err)
	}
	yamlText := "a: &a [1, 2, {x: y}]\nb: [*a, *a]\nc: {<<: {d: 1}, e: !!binary 'aGFpbA=='}\n" + strings.Repeat("k: 'v'\n", 100)
	decoders := []decoder{
		{"json", text, 8 * limit, func(data []byte) { _, _ = ParseValue(data, lim) }},
		{"repr", text, 8 * limit, func(data []byte) { Repr(data, 200) }},
		{"msgpack", packed, 16 * limit, func(data []byte) { _, _ = decodeMsgpack(data, lim) }},
		{"yaml", []byte(yamlText), 64 * limit, func(data []byte) { _, _ = decodeYAML(data, lim) }},
	}
	for _, kind := range allCompressions {
		deflated, err := Deflate(kind, text)
		if err != nil {
			t.Fatal(err)
		}
		most := uint64(8 << 20)
		if kind == CompressionLzma || kind == CompressionZstd {
			most += maxWindow + maxWindow/4
		}
		decoders = append(decoders, decoder{kind, deflated, most, func(data []byte) { _, _ = Inflate(kind, data, limit) }})
	}
	for _, d := range decoders {
		for range 1000 {
			data := r.damaged(d.seed)
			if used := allocated(func() { d.decode(data) }); used > d.most {
				t.Errorf("%s: %d bytes allocated for %d bytes of input: %.200q", d.name, used, len(data), data)
			}
		}
	}
}
