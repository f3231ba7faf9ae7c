package spanpipe

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const (
	request = "8f3c2c5e-9f0a-4a5e-8f5e-0123456789ab"
	endNs   = 1_700_000_000_100_000_000
	future  = "fa00136120746167206f662074686520667574757265"
	arn     = "arn:aws:lambda:eu-west-1:123456789012:function:shop"
)

var (
	span    = [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
	child   = [8]byte{0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18}
	trace   = [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	opening = prefix(request, span)
)

type callerVector struct {
	Name        string            `json:"name"`
	Propagators []string          `json:"propagators"`
	EventPath   string            `json:"event_path"`
	Event       json.RawMessage   `json:"event"`
	Texts       map[string]string `json:"texts"`
}

// elsewhere are carriers, and links, that this writer does not look for: PROTOCOL.md has them all.
var elsewhere = map[string]bool{
	"Kafka: one record": true, "Kafka: bytes as Java's, a header for each": true,
	"Kafka: two records": true, "CloudFront": true,
	"SQS: one message and its X-Ray header": true,
}

func TestAnEventsCallerIsThePythonWriters(t *testing.T) {
	data, err := os.ReadFile("../../tests/vectors/callers.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Events []callerVector `json:"events"`
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	held := 0
	for _, one := range vectors.Events {
		if one.EventPath != "" || strings.Contains(strings.Join(one.Propagators, ","), "b3") {
			continue
		}
		t.Setenv("OTEL_PROPAGATORS", strings.Join(one.Propagators, ","))
		want := []string{one.Texts["7"], one.Texts["8"], one.Texts["11"]}
		if elsewhere[one.Name] || !strings.Contains(strings.Join(one.Propagators, ","), "tracecontext") {
			want = []string{"", "", ""}
			if one.Name == "SQS: one message and its X-Ray header" {
				want = []string{one.Texts["7"], one.Texts["8"], ""}
			}
		}
		got := []string{"", "", ""}
		for _, said := range (&Writer{}).adopt(&Invocation{}, Context{Event: one.Event}) {
			got[map[byte]int{7: 0, 8: 1, 11: 2}[said.tag]] = said.text
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q", one.Name, got, want)
		}
		if got[0] != "" || got[2] != "" {
			held++
		}
	}
	if held < 15 {
		t.Errorf("%d events with a caller", held)
	}
}

func TestPropagatorsAreNamedByTheEnvironmentOrThePolicy(t *testing.T) {
	for _, one := range []struct {
		environ, policy string
		want            bool
	}{
		{"", "", true}, {"b3", "", false}, {"b3, tracecontext", "", true}, {"none,tracecontext", "", false},
		{"", "xray", false}, {"", "tracecontext", true}, {"b3", "tracecontext", false},
	} {
		t.Setenv("OTEL_PROPAGATORS", one.environ)
		if got := readsTraceContext(policy{propagators: one.policy}); got != one.want {
			t.Errorf("%+v: %v", one, got)
		}
	}
}

func TestAnEventThatIsNoneOrTooLongIsLeft(t *testing.T) {
	long := `{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00","a":"` +
		strings.Repeat("x", maxEventBytes) + `"}`
	for _, event := range []string{"", "traceparent", `["traceparent"]`, `{"traceparent":7}`, long} {
		if parent, links := callersOf([]byte(event)); parent != nil || links != nil {
			t.Errorf("taken: %.80s", event)
		}
	}
}

type vector struct {
	Name      string `json:"name"`
	Hex       string `json:"hex"`
	BodyHex   string `json:"body_hex"`
	RecordHex string `json:"first_16_bytes_hex"`
	TextsHex  string `json:"texts_hex"`
}

func vectors(t *testing.T) map[string]vector {
	t.Helper()
	data, err := os.ReadFile("../../tests/vectors/stream.json")
	if err != nil {
		t.Fatal(err)
	}
	var groups map[string][]vector
	if err := json.Unmarshal(data, &groups); err != nil {
		t.Fatal(err)
	}
	found := map[string]vector{}
	for _, name := range []string{"streams", "messages", "mailbox"} {
		for _, one := range groups[name] {
			found[one.Name] = one
		}
	}
	return found
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestEveryMessageIsEncodedByteForByte(t *testing.T) {
	first := start{
		coldStart: true, traceID: trace, startNs: 1_700_000_000_000_000_001,
		deadlineMs: 1_700_000_003_000, memoryMB: 128, pid: 42,
		texts: []field{
			{1, arn + ":live"}, {2, "/aws/lambda/shop"}, {3, "2026/11/23/[7]abc"},
			{4, "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"}, {5, "blue"},
			{6, arn + ":7/durable-execution/a/b"}, {7, ""},
		},
	}
	called, traced := first, "00-"+hex.EncodeToString(trace[:])+"-"
	called.coldStart = false
	called.texts = []field{
		{7, traced + "2122232425262728-00"}, {8, "vendor=1"}, {9, "GET /orders"},
		{10, `{"faas.trigger":"http"}`},
		{11, traced + "3132333435363738-01 " + traced + "4142434445464748-00"},
	}
	stack := "Traceback (most recent call last):\n"
	well := spanFields{spanID: child, startNs: 10, endNs: 20, name: "query", attributes: `{"rows":3}`}
	failed := spanFields{
		spanID: child, parentID: span, startNs: 10, endNs: 20, name: "query",
		failure: &failure{kind: "KeyError", message: "k"},
	}
	cut := Body{[]byte("ä"), notCaptured.size, true, contentText}
	one := wholeBody([]byte("1"), contentJSON)
	for name, encoded := range map[string][]byte{
		"start":               encodeStart(opening, first),
		"start with a caller": encodeStart(opening, called),
		"result":              encodeBody(opening, endNs, bodyOf(map[string]int{"a": 1})),
		"result, cut, text, size and span unknown": encodeBody(prefix(request, noSpan), 5, cut),
		"error":                             encodeError(opening, endNs, failure{"ValueError", "no such order: 3 €", stack}),
		"span":                              encodeSpan(opening, well),
		"event":                             encodeEvent(opening, 15, child, "cache miss", "{}"),
		"partial result":                    encodeBody(opening, 15, one),
		"request":                           encodeBody(opening, 15, one),
		"file":                              encodeFile(opening, "spanpipe-0123456789abcdef.msg"),
		"span, failed, with an unknown tag": append(encodeSpan(opening, failed), unhex(t, future)...),
	} {
		if got, want := hex.EncodeToString(encoded), vectors(t)[name].BodyHex; got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

func TestEveryStreamIsFramedByteForByte(t *testing.T) {
	long := make([]byte, 0, 40*256)
	for index := 0; index < cap(long); index++ {
		long = append(long, byte(index))
	}
	for name, given := range map[string]struct {
		kind byte
		body []byte
	}{
		"one frame":              {kindStart, unhex(t, vectors(t)["start"].BodyHex)},
		"a frame without a body": {kindResult, nil},
		"three fragments":        {kindResult, long},
	} {
		frames := bytes.Join(encodeFrames(given.kind, 0xa1b2c3d4, 1, given.body), nil)
		if got, want := hex.EncodeToString(frames), vectors(t)[name].Hex; got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
	largest := encodeFrames(kindResult, 7, 1, make([]byte, maxFramedBytes))
	if len(largest) != 17 || len(largest[16]) != 4096 {
		t.Errorf("%d frames, the last of %d bytes", len(largest), len(largest[16]))
	}
}

func TestEveryPolicyIsRead(t *testing.T) {
	for name, want := range map[string]policy{
		"enabled, responses captured": {
			generation: 1, enabled: true, response: true, maxBodyBytes: 65536,
		},
		"disabled, exporter down, requests captured": {generation: 7, exporterDown: true, request: true},
		"propagators and a carrier's place": {
			generation: 8, enabled: true, response: true, maxBodyBytes: 1, propagators: "xray,b3",
		},
	} {
		record := make([]byte, recordBytes)
		copy(record, unhex(t, vectors(t)[name].RecordHex+vectors(t)[name].TextsHex))
		if got, ok := decodePolicy(record); !ok || got != want {
			t.Errorf("%s: got %+v", name, got)
		}
		damaged := bytes.Clone(record)
		damaged[4] ^= 1
		for _, wrong := range [][]byte{nil, record[1:], make([]byte, recordBytes), damaged} {
			if got, ok := decodePolicy(wrong); ok {
				t.Errorf("%s: a wrong record gave %+v", name, got)
			}
		}
	}
}

func TestACutIsNeverInsideACharacter(t *testing.T) {
	var got []int
	for limit := 0; limit < 12; limit++ {
		got = append(got, len(cutUTF8([]byte("aä€😀"), limit)))
	}
	if want := []int{0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestACallersSpanIsTakenOrNoneIs(t *testing.T) {
	given := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	invocation := &Invocation{flags: 1, spanID: span}
	said := (&Writer{}).adopt(invocation, Context{TraceParent: given, TraceState: "a=1 ,b=2"})
	if want := []field{{7, given}, {8, "a=1,b=2"}, {11, ""}}; !reflect.DeepEqual(said, want) {
		t.Errorf("got %v", said)
	}
	if got := invocation.TraceParent(); got != given[:36]+hex.EncodeToString(span[:])+"-00" {
		t.Errorf("got %s", got)
	}
	if got := invocation.TraceState(); got != "a=1,b=2" {
		t.Errorf("got %s", got)
	}
	zeros := strings.Replace(given, "b7ad6b7169203331", "0000000000000000", 1)
	for _, wrong := range []string{"", "00", given[1:], strings.ToUpper(given), zeros, given + "-x"} {
		said := (&Writer{}).adopt(&Invocation{}, Context{TraceParent: wrong, TraceState: "a=1"})
		if want := []field{{11, ""}}; !reflect.DeepEqual(said, want) {
			t.Errorf("taken: %s", wrong)
		}
	}
}

func TestWhatJSONCannotHoldIsDescribed(t *testing.T) {
	for value, want := range map[any]string{
		make(chan int): `"<not encodable: *json.UnsupportedTypeError>"`,
		"<a> & b":      `"<a> & b"`,
		struct {
			A int `json:"a"`
		}{1}: `{"a":1}`,
	} {
		if got := string(bodyOf(value).data); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	long := map[string]any{"a": strings.Repeat("x", 40000)}
	if got := attributesText(long); got != `{"spanpipe.attributes":"over 32768 bytes"}` {
		t.Errorf("got %s", got)
	}
}

func TestWithoutAnExtensionEverythingDoesNothing(t *testing.T) {
	writer := New(filepath.Join(t.TempDir(), "nowhere"))
	invocation := writer.Start(Context{RequestID: "r-1"})
	one := invocation.Span("work").Span("inside")
	one.Event("noted", nil)
	one.End(errors.New("failed"))
	invocation.Event("noted", nil)
	invocation.Partial(1)
	invocation.Request(1)
	invocation.Result(Text("x"))
	invocation.Error("E", "m", "")
	got := []any{invocation, one.TraceParent(), invocation.TraceParent(), writer.Dropped(), writer.Faults()}
	if want := []any{(*Invocation)(nil), "", "", 0, 0}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

type hostile struct{}

func (hostile) MarshalJSON() ([]byte, error) { panic("not yours") }

func TestABudgetAndAPanicAreKeptFromTheFunction(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "spanpipe-results.fifo")
	if err := os.WriteFile(path, nil, 0o600); err != nil { // not a FIFO: all goes by file
		t.Fatal(err)
	}
	writer := New(folder)
	writer.SetBudget(time.Minute)
	writer.Start(Context{RequestID: "r-1"}).Result(hostile{})
	writer.SetBudget(0)
	invocation := writer.Start(Context{RequestID: "r-2"})
	invocation.Event("noted", nil)
	invocation.Result(1)
	entries, err := os.ReadDir(folder)
	if got := []any{len(entries), err, writer.Dropped(), writer.Faults()}; !reflect.DeepEqual(got, []any{2, nil, 3, 1}) {
		t.Errorf("files with the FIFO's, error, dropped, faults: %v", got)
	}
}
