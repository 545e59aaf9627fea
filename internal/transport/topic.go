package transport

import (
	"regexp"
)

// topicMatches tells whether a binding's pattern takes a routing key. kombu stores the pattern as a regular expression
// (kombu/transport/virtual/exchange.py, TopicExchange.prepare_bind).
func topicMatches(pattern, routingKey string) bool {
	if pattern == "" {
		return false
	}
	expression, err := regexp.Compile(pattern)
	return err == nil && expression.MatchString(routingKey)
}
