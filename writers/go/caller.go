package spanpipe

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"sort"
	"strings"
)

// Who invoked the function, out of its event: W3C's traceparent and tracestate, where PROTOCOL.md,
// "The caller", says that a carrier is. Nothing in an event is taken to be there, or to have a type.

const (
	// A longer event is not looked at: to find its parts costs a millisecond for each 100 KB.
	maxEventBytes  = 1 << 20
	maxTraceParent = 512
	maxTraceState  = 512
	maxMembers     = 32
	maxHeaders     = 256
	maxRecords     = 128
)

var (
	traceParent = regexp.MustCompile(
		`\A([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})((?s:-.*)?)\z`)
	member = regexp.MustCompile(
		`\A(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})` +
			`=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]\z`)
)

// spanContext is a span somewhere else.
type spanContext struct {
	traceID    [16]byte
	spanID     [8]byte
	flags      byte
	traceState string
}

// text is it as W3C's header of version 0, whose only flags are sampled and random.
func (context spanContext) text() string {
	return fmt.Sprintf("00-%x-%x-%02x", context.traceID, context.spanID, context.flags&3)
}

// carrier holds a caller's two headers.
type carrier struct{ traceParent, traceState string }

// context is the span that it names; false where it names none.
func (given carrier) context() (found spanContext, ok bool) {
	if len(given.traceParent) > maxTraceParent {
		return found, false
	}
	parts := traceParent.FindStringSubmatch(strings.Trim(given.traceParent, " \t"))
	if parts == nil || parts[1] == "ff" || (parts[1] == "00" && parts[5] != "") {
		return found, false
	}
	if strings.Trim(parts[2], "0") == "" || strings.Trim(parts[3], "0") == "" {
		return found, false
	}
	flags, _ := hex.DecodeString(parts[4])
	found.flags = flags[0]
	_, _ = hex.Decode(found.traceID[:], []byte(parts[2]))
	_, _ = hex.Decode(found.spanID[:], []byte(parts[3]))
	found.traceState = validTraceState(given.traceState)
	return found, true
}

// validTraceState is it without blanks; "" where a member is none: then W3C drops it whole.
func validTraceState(text string) string {
	if len(text) > maxTraceState {
		return ""
	}
	var members []string
	keys := map[string]bool{}
	for _, part := range strings.Split(text, ",") {
		one := strings.Trim(part, " \t")
		if one == "" {
			continue
		}
		key, _, _ := strings.Cut(one, "=")
		if keys[key] || !member.MatchString(one) {
			return ""
		}
		keys[key] = true
		members = append(members, one)
	}
	if len(members) > maxMembers {
		return ""
	}
	return strings.Join(members, ",")
}

// readsTraceContext says whether W3C's propagator is in force.
func readsTraceContext(policy policy) bool {
	text := os.Getenv("OTEL_PROPAGATORS")
	if text == "" {
		text = policy.propagators
	}
	reads := text == ""
	for _, name := range strings.Split(text, ",") {
		switch strings.TrimSpace(name) {
		case "none":
			return false
		case "tracecontext":
			reads = true
		}
	}
	return reads
}

// callersOf is what the event's carriers name: of one message the parent, of more links.
func callersOf(event []byte) (parent *spanContext, links []spanContext) {
	// Case may be any, so what is looked for is the part that cannot be spelt otherwise.
	if len(event) > maxEventBytes || !bytes.Contains(bytes.ToLower(event), []byte("traceparent")) {
		return nil, nil
	}
	carriers, isBatch := carriersOf(object(event))
	for _, one := range carriers {
		if found, ok := one.context(); ok && isBatch {
			links = append(links, found)
		} else if ok {
			parent = &found
		}
	}
	return parent, links
}

func carriersOf(event map[string]json.RawMessage) (carriers []carrier, isBatch bool) {
	if _, ok := event["requestContext"]; ok {
		headers := object(event["headers"])
		if len(headers) == 0 {
			headers = object(event["multiValueHeaders"])
		}
		return []carrier{headerCarrier(headers)}, false
	}
	if raw, ok := event["Records"]; ok {
		var records []json.RawMessage
		_ = json.Unmarshal(raw, &records)
		isBatch = len(records) > 1
		for _, record := range records[:min(maxRecords, len(records))] {
			carriers = append(carriers, messageCarrier(object(record)))
		}
		return carriers, isBatch
	}
	if _, ok := event["detail-type"]; ok {
		return []carrier{headerCarrier(object(event["detail"]))}, false
	}
	if _, ok := event["info"]; ok {
		return []carrier{headerCarrier(object(object(event["request"])["headers"]))}, false
	}
	if _, ok := event["traceparent"]; ok {
		return []carrier{headerCarrier(event)}, false
	}
	return nil, false
}

// headerCarrier takes a value that is a list by its first text, a tracestate's all together.
func headerCarrier(headers map[string]json.RawMessage) (found carrier) {
	for index, name := range sorted(headers) {
		if index >= maxHeaders {
			break
		}
		switch strings.ToLower(name) {
		case "traceparent":
			if values := texts(headers[name]); found.traceParent == "" && len(values) > 0 {
				found.traceParent = values[0]
			}
		case "tracestate":
			if found.traceState == "" {
				found.traceState = strings.Join(texts(headers[name]), ",")
			}
		}
	}
	return found
}

// messageCarrier is that of a message of SQS or SNS.
func messageCarrier(record map[string]json.RawMessage) (found carrier) {
	found = attributesCarrier(object(record["messageAttributes"]), "stringValue")
	if found != (carrier{}) {
		return found
	}
	return attributesCarrier(object(object(record["Sns"])["MessageAttributes"]), "Value")
}

func attributesCarrier(attributes map[string]json.RawMessage, key string) (found carrier) {
	for _, name := range sorted(attributes) {
		value := strings.Join(texts(object(attributes[name])[key]), "")
		switch strings.ToLower(name) {
		case "traceparent":
			found.traceParent = value
		case "tracestate":
			found.traceState = value
		}
	}
	return found
}

// object is the JSON object that raw is; nil where it is none.
func object(raw json.RawMessage) map[string]json.RawMessage {
	var found map[string]json.RawMessage
	if json.Unmarshal(raw, &found) != nil {
		return nil
	}
	return found
}

// texts are the JSON text that raw is, or the texts in its list.
func texts(raw json.RawMessage) []string {
	var one *string
	if json.Unmarshal(raw, &one) == nil && one != nil {
		return []string{*one}
	}
	var several []string
	if json.Unmarshal(raw, &several) != nil {
		return nil
	}
	return several
}

// sorted are the names in an order, since a map has none.
func sorted(values map[string]json.RawMessage) []string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
