package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/lovage-go/lovage/tasks"
)

// ErrKey says that no key can be built from the dimensions.
var ErrKey = errors.New("a cache key needs an access mode, and a prediction run for predicted data")

// Key is a cache key: only NewKey makes one.
type Key struct{ text, mode, run, region, product string }

// String is the key in Redis.
func (k Key) String() string { return k.text }

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9_.]{0,63}$`)

// version is part of every key: raise it when the form of keys or values changes.
const version = "1"

// NewKey builds the key of a value about the given dimensions; further parts tell apart what dimensions do not. Trace and correlation ids are no part of it.
func NewKey(name string, d tasks.Dimensions, parts ...string) (Key, error) {
	if !nameForm.MatchString(name) {
		return Key{}, fmt.Errorf("cache key %q: a name is lower case letters, digits, dots and underscores", name)
	}
	predicted := d.DataType == tasks.Predicted
	if d.AccessMode == "" || predicted != (d.PredictionRunID != "") {
		return Key{}, fmt.Errorf("cache key %s: %w", name, ErrKey)
	}
	// The dimensions may not have come through ParseDimensions.
	text := map[string]any{}
	for field, value := range d.Map() {
		text[field] = value
	}
	if err := check(text); err != nil {
		return Key{}, fmt.Errorf("cache key %s: %w", name, err)
	}
	fields := []string{"lovage:cache:" + version, name}
	for _, f := range [][2]string{
		{"mode", d.AccessMode}, {"run", d.PredictionRunID}, {"type", d.DataType}, {"product", d.ProductID}, {"scope", d.RegionScope}, {"region", d.RegionCode},
		{"weather", d.WeatherType}, {"time", d.TimeRange.String()},
	} {
		if f[1] != "" {
			fields = append(fields, f[0]+"="+f[1])
		}
	}
	if len(parts) > 0 {
		sum := sha256.New()
		for _, part := range parts {
			fmt.Fprintf(sum, "%d:%s", len(part), part)
		}
		fields = append(fields, "parts="+hex.EncodeToString(sum.Sum(nil)[:16]))
	}
	return Key{text: strings.Join(fields, "|"), mode: d.AccessMode, run: d.PredictionRunID, region: d.RegionCode, product: d.ProductID}, nil
}

// Tag is what values are invalidated by.
type Tag string

// Run is the tag of a prediction run's values, Region of a region's, Product of a product's, Scope of all values of the scope's runs.
func Run(id string) Tag { return Tag("run=" + id) }

// Region is the tag of the values about a region code.
func Region(code string) Tag { return Tag("region=" + code) }

// Product is the tag of the values about a product.
func Product(id string) Tag { return Tag("product=" + id) }

func (t Tag) key() string { return "lovage:cache:generation:" + string(t) }

// tags are the key's, in a fixed order.
func (k Key) tags() []Tag {
	var tags []Tag
	if k.run != "" {
		tags = append(tags, Run(k.run))
	}
	if k.region != "" {
		tags = append(tags, Region(k.region))
	}
	if k.product != "" {
		tags = append(tags, Product(k.product))
	}
	return tags
}
