package protocol_test

import (
	"fmt"
	"time"

	"github.com/lovage-go/lovage/protocol"
)

func ExampleMarshal() {
	type score struct {
		Region string    `json:"region"`
		Risk   float64   `json:"risk"`
		At     time.Time `json:"at"`
	}
	raw, err := protocol.Marshal(score{"north", 1, time.Date(2026, 8, 5, 7, 0, 0, 0, time.UTC)})
	fmt.Println(string(raw), err)
	// Output: {"region": "north", "risk": 1.0, "at": {"__type__": "datetime", "__value__": "2026-08-05T07:00:00+00:00"}} <nil>
}

func ExampleParseValue() {
	raw := protocol.Raw(`[1, 1.0, 123456789012345678901234567890, {"__type__": "decimal", "__value__": "1.10"}]`)
	value, err := protocol.ParseValue(raw, protocol.Limits{})
	if err != nil {
		panic(err)
	}
	for _, element := range value.([]any) {
		fmt.Printf("%T %v\n", element, element)
	}
	// Output:
	// int64 1
	// float64 1
	// *big.Int 123456789012345678901234567890
	// protocol.Decimal 1.10
}

func ExampleRepr() {
	raw := protocol.Raw(`{"name": "hail", "cells": [1, 2.0, null, {"__type__": "date", "__value__": "2026-08-05"}]}`)
	fmt.Println(protocol.Repr(raw, 0))
	fmt.Println(protocol.Repr(raw, 34))
	// Output:
	// {'name': 'hail', 'cells': [1, 2.0, None, datetime.date(2026, 8, 5)]}
	// {'name': 'hail', 'cells': [1, 2.0, , ...]}
}
