// Package spanpipe hands a Lambda function's results to the spanpipe extension, over a named FIFO.
//
//	writer := spanpipe.FromEnv()
//	invocation := writer.Start(spanpipe.Context{RequestID: id})
//	span := invocation.Span("look up")
//	span.Event("cache miss", map[string]any{"tries": 3})
//	span.End(nil)
//	invocation.Result(answer)
//
// Nothing here blocks, panics or fails: where there is no extension nothing is sent, where the
// pipe cannot take a message it goes by file, and what is over the bounds is dropped and counted.
// It follows PROTOCOL.md, is two files, and needs the standard library alone.
package spanpipe

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	kindStart   = 1
	kindResult  = 2
	kindError   = 3
	kindSpan    = 4
	kindEvent   = 5
	kindPartial = 6
	kindFile    = 7
	kindRequest = 9

	contentJSON   = 0
	contentText   = 1
	contentBinary = 2
	contentNone   = 255

	headerBytes = 24
	// PIPE_BUF less the header: so the kernel keeps every write whole.
	maxBodyBytes       = 4096 - headerBytes
	maxFragments       = 17
	maxFramedBytes     = maxFragments * maxBodyBytes
	maxFieldBytes      = math.MaxUint16
	maxNameBytes       = 1024
	maxAttributesBytes = 32768

	recordBytes = 4096

	// What one process may have waiting beside the FIFO: /tmp is the function's own.
	maxFiles      = 32
	maxFilesBytes = 32 << 20

	// For all hand-overs of one invocation together; what is over it is dropped and counted.
	defaultBudget = 50 * time.Millisecond
	longestWrite  = time.Millisecond // it cannot block: what takes longer is another's turn
)

var (
	noSpan    [8]byte
	requestID = regexp.MustCompile(`\A[A-Za-z0-9_-]{1,128}\z`)
)

// Context is what the runtime says of an invocation; what is not known stays empty.
type Context struct {
	RequestID          string
	Deadline           time.Time
	MemoryMB           uint32
	InvokedFunctionARN string
	LogGroup           string
	LogStream          string
	XRayHeader         string
	TenantID           string
	// TraceParent and TraceState are the caller's, as in W3C's headers; what is none is not taken.
	TraceParent string
	TraceState  string
	// Event, as it came, in JSON: what is not given above is read out of it.
	Event []byte
}

// Body is a captured body of a kind of its own; any other value is sent as JSON.
type Body struct {
	data      []byte
	size      uint64
	truncated bool
	content   byte
}

// Text is a body of text that is no JSON.
func Text(text string) Body { return wholeBody([]byte(text), contentText) }

// Bytes is a body of bytes.
func Bytes(data []byte) Body { return wholeBody(data, contentBinary) }

func wholeBody(data []byte, content byte) Body {
	return Body{data, uint64(len(data)), false, content}
}

var notCaptured = Body{nil, math.MaxUint64, false, contentNone}

// within is no more of it than limit bytes, and whole characters.
func (body Body) within(limit int) Body {
	data := body.data[:min(limit, len(body.data))]
	if body.content != contentBinary {
		data = cutUTF8(body.data, limit)
	}
	return Body{data, body.size, body.truncated || len(data) < len(body.data), body.content}
}

// Writer is one for a process; goroutines may share it.
type Writer struct {
	mutex     sync.Mutex
	directory string
	budget    time.Duration
	results   int
	control   int
	absent    bool
	warned    bool
	started   bool
	drawn     bool
	writerID  uint32
	counter   uint32
	policy    policy
	waiting   map[string]int
	dropped   int
	faults    int
}

// FromEnv is a Writer for the folder $SPANPIPE_DIR, else /tmp.
func FromEnv() *Writer {
	directory := os.Getenv("SPANPIPE_DIR")
	if directory == "" {
		directory = "/tmp"
	}
	return New(directory)
}

// New takes the policy, which also tells the extension that a writer is here.
func New(directory string) *Writer {
	writer := &Writer{
		directory: directory, budget: defaultBudget, results: -1, control: -1,
		policy: defaultPolicy, waiting: map[string]int{},
	}
	writer.guarded(writer.readPolicy)
	return writer
}

// SetBudget sets what all hand-overs of one invocation may take together.
func (writer *Writer) SetBudget(budget time.Duration) { writer.budget = budget }

// Dropped counts messages that could not be handed over.
func (writer *Writer) Dropped() int {
	writer.mutex.Lock()
	defer writer.mutex.Unlock()
	return writer.dropped
}

// Faults counts faults of ours that were kept from the function.
func (writer *Writer) Faults() int {
	writer.mutex.Lock()
	defer writer.mutex.Unlock()
	return writer.faults
}

// Invocation ends with Result or Error. A nil one is good for nothing, and does no harm.
type Invocation struct {
	writer     *Writer
	prefix     []byte
	traceID    [16]byte
	spanID     [8]byte
	flags      byte
	traceState string
	spent      time.Duration
}

// Start sends START; nil where nothing is to be sent for this invocation.
func (writer *Writer) Start(context Context) (invocation *Invocation) {
	writer.guarded(func() { invocation = writer.start(context) })
	return invocation
}

func (writer *Writer) start(context Context) *Invocation {
	writer.readPolicy()
	if !writer.policy.enabled || !requestID.MatchString(context.RequestID) {
		return nil
	}
	writer.checkDescriptor()
	if writer.absent {
		return nil
	}
	invocation := &Invocation{writer: writer, flags: 1}
	called := writer.adopt(invocation, context)
	draw(invocation.spanID[:])
	invocation.prefix = prefix(context.RequestID, invocation.spanID)
	ahead := os.Getenv("AWS_LAMBDA_INITIALIZATION_TYPE") == "provisioned-concurrency"
	deadlineMs := uint64(0)
	if !context.Deadline.IsZero() {
		deadlineMs = uint64(max(0, context.Deadline.UnixMilli()))
	}
	body := encodeStart(invocation.prefix, start{
		coldStart: !writer.started && !ahead,
		traceID:   invocation.traceID, startNs: nowNs(), deadlineMs: deadlineMs,
		memoryMB: context.MemoryMB, pid: uint32(os.Getpid()),
		texts: append([]field{
			{1, context.InvokedFunctionARN}, {2, context.LogGroup}, {3, context.LogStream},
			{4, context.XRayHeader}, {5, context.TenantID},
		}, called...),
	})
	writer.started = true
	writer.handOver(invocation, kindStart, body)
	return invocation
}

// adopt takes the caller's trace, or draws one; what START says of the caller.
func (writer *Writer) adopt(invocation *Invocation, context Context) (said []field) {
	var links []spanContext
	caller, known := carrier{context.TraceParent, context.TraceState}.context()
	if !known && readsTraceContext(writer.policy) {
		var parent *spanContext
		if parent, links = callersOf(context.Event); parent != nil {
			caller, known = *parent, true
		}
	}
	if known {
		invocation.traceID, invocation.flags = caller.traceID, caller.flags
		invocation.traceState = caller.traceState
		said = append(said, field{7, caller.text()}, field{8, caller.traceState})
	} else {
		draw(invocation.traceID[:])
	}
	var told []string
	for _, link := range links {
		told = append(told, link.text())
	}
	return append(said, field{11, strings.Join(told, " ")})
}

// TraceState is the caller's, to be passed on beside TraceParent; "" where there is none.
func (invocation *Invocation) TraceState() string {
	if invocation == nil {
		return ""
	}
	return invocation.traceState
}

// Request sends the handler's event, where the extension's policy asks for it.
func (invocation *Invocation) Request(event any) {
	invocation.guarded(func(writer *Writer) {
		limit := int(writer.policy.maxBodyBytes)
		if writer.policy.request && limit > 0 && !writer.spares(invocation) {
			writer.sendBody(invocation, kindRequest, bodyOf(event).within(limit))
		}
	})
}

// Partial sends a partial result, now.
func (invocation *Invocation) Partial(value any) {
	invocation.guarded(func(writer *Writer) {
		if !writer.spares(invocation) {
			writer.sendBody(invocation, kindPartial, writer.allowed(value))
		}
	})
}

// Event is a moment in the invocation.
func (invocation *Invocation) Event(name string, attributes map[string]any) {
	invocation.event(noSpan, name, attributes)
}

func (invocation *Invocation) event(spanID [8]byte, name string, attributes map[string]any) {
	invocation.guarded(func(writer *Writer) {
		if writer.spares(invocation) {
			return
		}
		text := attributesText(attributes)
		body := encodeEvent(invocation.prefix, nowNs(), spanID, name, text)
		writer.handOver(invocation, kindEvent, body)
	})
}

// Result is how it ended: the value as JSON, or a Text or Bytes.
func (invocation *Invocation) Result(value any) {
	invocation.guarded(func(writer *Writer) {
		writer.sendBody(invocation, kindResult, writer.allowed(value))
	})
}

// Error says that it failed; stack is "" where there is none.
func (invocation *Invocation) Error(errorType, message, stack string) {
	invocation.guarded(func(writer *Writer) {
		body := encodeError(invocation.prefix, nowNs(), failure{errorType, message, stack})
		writer.handOver(invocation, kindError, body)
	})
}

// TraceParent is its span as W3C's header; "" where there is none.
func (invocation *Invocation) TraceParent() string {
	if invocation == nil {
		return ""
	}
	return invocation.traceParent(invocation.spanID)
}

func (invocation *Invocation) traceParent(spanID [8]byte) string {
	return fmt.Sprintf("00-%x-%x-%02x", invocation.traceID, spanID, invocation.flags&3)
}

func (invocation *Invocation) guarded(work func(writer *Writer)) {
	if invocation != nil {
		invocation.writer.guarded(func() { work(invocation.writer) })
	}
}

// Span is work inside an invocation; End sends it. A nil one does no harm.
type Span struct {
	// Attributes may be added to until End.
	Attributes map[string]any

	invocation *Invocation
	spanID     [8]byte
	parentID   [8]byte
	startNs    uint64
	name       string
}

// Span begins a child span of the invocation.
func (invocation *Invocation) Span(name string) *Span { return invocation.span(noSpan, name) }

func (invocation *Invocation) span(parentID [8]byte, name string) *Span {
	span := &Span{
		Attributes: map[string]any{}, invocation: invocation, parentID: parentID,
		startNs: nowNs(), name: name,
	}
	invocation.guarded(func(*Writer) { draw(span.spanID[:]) })
	return span
}

// Span begins a span inside it.
func (span *Span) Span(name string) *Span { return span.invocation.span(span.spanID, name) }

// Event is a moment in it.
func (span *Span) Event(name string, attributes map[string]any) {
	span.invocation.event(span.spanID, name, attributes)
}

// TraceParent is the span as W3C's header; "" outside an invocation.
func (span *Span) TraceParent() string {
	if span.invocation == nil {
		return ""
	}
	return span.invocation.traceParent(span.spanID)
}

// End sends it; err nil: it went well.
func (span *Span) End(err error) {
	span.invocation.guarded(func(writer *Writer) {
		if writer.spares(span.invocation) {
			return
		}
		fields := spanFields{
			spanID: span.spanID, parentID: span.parentID, startNs: span.startNs, endNs: nowNs(),
			name: span.name, attributes: attributesText(span.Attributes),
		}
		if err != nil {
			fields.failure = &failure{kind: fmt.Sprintf("%T", err), message: err.Error()}
		}
		writer.handOver(span.invocation, kindSpan, encodeSpan(span.invocation.prefix, fields))
	})
}

// How it is handed over. What follows is called with the mutex held.

// guarded keeps whatever goes wrong in work from the function.
func (writer *Writer) guarded(work func()) {
	writer.mutex.Lock()
	defer writer.mutex.Unlock()
	defer func() {
		if recover() != nil {
			writer.faults++
		}
	}()
	work()
}

// spares says whether a detail is dropped, and counted, before anything is spent on encoding it.
func (writer *Writer) spares(invocation *Invocation) bool {
	if writer.policy.exporterDown {
		writer.dropped++
		return true
	}
	if invocation.spent >= writer.budget/5*4 { // a fifth is kept for the end
		// Its number is used up, so that the extension misses it.
		writer.counter++
		writer.dropped++
		return true
	}
	return false
}

// allowed is what the policy lets through of a result.
func (writer *Writer) allowed(value any) Body {
	limit := int(writer.policy.maxBodyBytes)
	if limit == 0 || !writer.policy.response {
		return notCaptured
	}
	return bodyOf(value).within(limit)
}

func (writer *Writer) sendBody(invocation *Invocation, kind byte, body Body) {
	timeNs := nowNs()
	encoded := encodeBody(invocation.prefix, timeNs, body)
	over := len(encoded) - maxFramedBytes
	if writer.handOver(invocation, kind, encoded) || over <= 0 {
		return
	}
	// No file could be written: what frames hold is better than nothing.
	cut := body.within(max(0, len(body.data)-over))
	writer.handOver(invocation, kind, encodeBody(invocation.prefix, timeNs, cut))
}

// handOver is one message, by pipe or by file; false where it was dropped (and counted).
func (writer *Writer) handOver(invocation *Invocation, kind byte, body []byte) bool {
	began, piped := time.Now(), false
	defer func() {
		took := time.Since(began)
		if piped {
			took = min(took, longestWrite)
		}
		invocation.spent += took
	}()
	if !writer.drawn {
		var drawn [4]byte
		draw(drawn[:])
		writer.writerID, writer.drawn = binary.BigEndian.Uint32(drawn[:]), true
	}
	writer.counter++
	counter := writer.counter
	if invocation.spent >= writer.budget {
		writer.dropped++
		return false
	}
	framed := len(body) <= maxFramedBytes
	if framed && writer.put(encodeFrames(kind, writer.writerID, counter, body)) {
		piped = true
		return true
	}
	name := writer.writeFile(encodeFrame(kind, writer.writerID, counter, body, 0, 1))
	if name == "" {
		writer.dropped++
		return false
	}
	if !framed {
		// The frame makes it read at once; without it the next boundary does.
		writer.counter++
		named := encodeFile(invocation.prefix, name)
		writer.put(encodeFrames(kindFile, writer.writerID, writer.counter, named))
	}
	return true
}

// put is all of the frames into the pipe; false where it is full, broken or not to be had.
func (writer *Writer) put(frames [][]byte) bool {
	err := writer.writeAll(frames)
	if errors.Is(err, syscall.EPIPE) {
		// The extension went away; another may have opened the pipe since.
		writer.open()
		err = writer.writeAll(frames)
	}
	return err == nil
}

func (writer *Writer) writeAll(frames [][]byte) error {
	if writer.results < 0 {
		return os.ErrClosed
	}
	for _, frame := range frames {
		// One write: it is whole, or it is not at all. Go turns SIGPIPE into an error here.
		_, err := syscall.Write(writer.results, frame)
		for errors.Is(err, syscall.EINTR) {
			_, err = syscall.Write(writer.results, frame)
		}
		if err != nil {
			if !errors.Is(err, syscall.EAGAIN) {
				writer.close()
			}
			return err
		}
	}
	return nil
}

func (writer *Writer) close() {
	if writer.results >= 0 {
		_ = syscall.Close(writer.results)
	}
	writer.results = -1
}

// checkDescriptor opens, at START, what is not open; what is open is kept, whatever is at its path.
func (writer *Writer) checkDescriptor() {
	if writer.results < 0 {
		writer.open()
	}
}

func (writer *Writer) open() {
	writer.close()
	path := filepath.Join(writer.directory, "spanpipe-results.fifo")
	opened, err := openFIFO(path, syscall.O_WRONLY)
	writer.absent = false
	var reason untrusted
	switch {
	case err == nil:
		writer.results = opened
	case errors.As(err, &reason):
		writer.warn(fmt.Sprintf("%s: %s; results go by file", path, string(reason)))
	case errors.Is(err, syscall.ENOENT):
		writer.absent = true
		writer.warn("no extension: " + path + " is not there, so this function's results go nowhere")
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EACCES):
		writer.absent = true
	}
	// ENXIO: nobody reads. A reader may come back and finds the files.
}

func (writer *Writer) readPolicy() {
	if writer.control < 0 {
		path := filepath.Join(writer.directory, "spanpipe-control.fifo")
		opened, err := openFIFO(path, syscall.O_RDONLY)
		if err != nil {
			return
		}
		writer.control = opened
	}
	record := make([]byte, recordBytes)
	length, err := syscall.Read(writer.control, record)
	if err != nil {
		return
	}
	if found, ok := decodePolicy(record[:length]); ok {
		writer.policy = found
	}
}

func (writer *Writer) warn(text string) {
	if !writer.warned {
		writer.warned = true
		fmt.Fprintf(os.Stderr, "spanpipe: warning: %s\n", text)
	}
}

// writeFile is one file with data; its name, or "" where a bound or the disk forbids it.
func (writer *Writer) writeFile(data []byte) string {
	if !writer.hasRoom(len(data)) {
		for name := range writer.waiting {
			if _, err := os.Lstat(filepath.Join(writer.directory, name)); err != nil {
				delete(writer.waiting, name)
			}
		}
		if !writer.hasRoom(len(data)) {
			return ""
		}
	}
	var drawn [8]byte
	draw(drawn[:])
	name := fmt.Sprintf("spanpipe-%x.msg", drawn)
	path := filepath.Join(writer.directory, name)
	if writeNew(path+".part", data) != nil || os.Rename(path+".part", path) != nil {
		_ = os.Remove(path + ".part")
		return ""
	}
	writer.waiting[name] = len(data)
	return name
}

func (writer *Writer) hasRoom(size int) bool {
	for _, one := range writer.waiting {
		size += one
	}
	return len(writer.waiting) < maxFiles && size <= maxFilesBytes
}

func writeNew(path string, data []byte) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL | syscall.O_NOFOLLOW
	file, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}

// untrusted is why something at a path of ours must not be used.
type untrusted string

func (reason untrusted) Error() string { return string(reason) }

func openFIFO(path string, flags int) (int, error) {
	flags |= syscall.O_NONBLOCK | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	opened, err := syscall.Open(path, flags, 0)
	switch {
	case errors.Is(err, syscall.ELOOP):
		return -1, untrusted("is a symbolic link")
	case errors.Is(err, syscall.EISDIR):
		return -1, untrusted("is no FIFO but a folder")
	case err != nil:
		return -1, err
	}
	var status syscall.Stat_t
	err = syscall.Fstat(opened, &status)
	switch {
	case err != nil:
	case status.Mode&syscall.S_IFMT != syscall.S_IFIFO:
		err = untrusted("is no FIFO")
	case int(status.Uid) != os.Geteuid():
		err = untrusted("belongs to another user")
	case status.Mode&0o077 != 0:
		err = untrusted("is open to other users")
	}
	if err != nil {
		_ = syscall.Close(opened)
		return -1, err
	}
	return opened, nil
}

// draw fills target with bytes from the operating system, never all zero.
func draw(target []byte) {
	for {
		if _, err := rand.Read(target); err != nil {
			panic(err) // guarded: without random bytes nothing is sent
		}
		for _, one := range target {
			if one != 0 {
				return
			}
		}
	}
}

func nowNs() uint64 { return uint64(max(0, time.Now().UnixNano())) }

// Values to bytes. No I/O from here on.

type policy struct {
	generation                               uint32
	enabled, response, exporterDown, request bool
	maxBodyBytes                             uint32
	propagators                              string
}

// defaultPolicy holds until a record is known.
var defaultPolicy = policy{enabled: true, response: true, maxBodyBytes: 65536}

// decodePolicy is false for anything that is no record of this version: keep what you know.
func decodePolicy(record []byte) (policy, bool) {
	if len(record) != recordBytes || !bytes.Equal(record[:3], []byte{0xff, 0x43, 1}) {
		return policy{}, false
	}
	if crc32.ChecksumIEEE(record[:12]) != binary.BigEndian.Uint32(record[12:]) {
		return policy{}, false
	}
	flags := record[3]
	return policy{
		generation: binary.BigEndian.Uint32(record[4:]),
		enabled:    flags&1 != 0, response: flags&2 != 0,
		exporterDown: flags&4 != 0, request: flags&8 != 0,
		maxBodyBytes: binary.BigEndian.Uint32(record[8:]),
		propagators:  policyText(record, 1),
	}, true
}

// policyText is the text of that tag behind the record's fixed part; "" where there is none.
func policyText(record []byte, tag byte) string {
	length := int(binary.BigEndian.Uint16(record[16:]))
	if 22+length > len(record) {
		return ""
	}
	texts := record[22 : 22+length]
	if crc32.ChecksumIEEE(texts) != binary.BigEndian.Uint32(record[18:]) {
		return ""
	}
	for len(texts) >= 3 {
		end := 3 + int(binary.BigEndian.Uint16(texts[1:]))
		if end > len(texts) {
			return ""
		}
		if texts[0] == tag {
			return string(texts[3:end])
		}
		texts = texts[end:]
	}
	return ""
}

// bodyOf is the value as JSON, and what JSON cannot hold described.
func bodyOf(value any) Body {
	if body, ok := value.(Body); ok {
		return body
	}
	data, err := encodeJSON(value)
	if err != nil {
		data, _ = encodeJSON(fmt.Sprintf("<not encodable: %T>", err))
	}
	return wholeBody(data, contentJSON)
}

// attributesText is one JSON object; "" where there are none, described where too large.
func attributesText(attributes map[string]any) string {
	if len(attributes) == 0 {
		return ""
	}
	text, err := encodeJSON(attributes)
	switch {
	case err != nil:
		return `{"spanpipe.attributes":"not encodable"}`
	case len(text) > maxAttributesBytes:
		return `{"spanpipe.attributes":"over 32768 bytes"}`
	}
	return string(text)
}

func encodeJSON(value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // else <, > and & are not what the function has
	err := encoder.Encode(value)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}

func encodeFrame(kind byte, writer, counter uint32, body []byte, place, count uint16) []byte {
	data := make([]byte, 0, headerBytes+len(body))
	data = append(data, 0xff, 0x53, 1, kind)
	data = binary.BigEndian.AppendUint16(data, place)
	data = binary.BigEndian.AppendUint16(data, count)
	data = binary.BigEndian.AppendUint32(data, writer)
	data = binary.BigEndian.AppendUint32(data, counter)
	data = binary.BigEndian.AppendUint32(data, uint32(len(body)))
	sum := crc32.Update(crc32.ChecksumIEEE(data), crc32.IEEETable, body)
	return append(binary.BigEndian.AppendUint32(data, sum), body...)
}

// encodeFrames are the frames of a message of at most maxFramedBytes.
func encodeFrames(kind byte, writer, counter uint32, body []byte) [][]byte {
	count := max(1, (len(body)+maxBodyBytes-1)/maxBodyBytes)
	frames := make([][]byte, 0, count)
	for place := 0; place < count; place++ {
		part := body[place*maxBodyBytes : min(len(body), (place+1)*maxBodyBytes)]
		frames = append(frames, encodeFrame(kind, writer, counter, part, uint16(place), uint16(count)))
	}
	return frames
}

// cutUTF8 is at most limit bytes, never a part of a character.
func cutUTF8(data []byte, limit int) []byte {
	if len(data) <= limit {
		return data
	}
	for limit > 0 && data[limit]&0xc0 == 0x80 {
		limit--
	}
	return data[:limit]
}

type field struct {
	tag  byte
	text string
}

// appendField is one tagged text, valid UTF-8 and cut at limit; an empty text is no field.
func appendField(body []byte, tag byte, text string, limit int) []byte {
	data := cutUTF8([]byte(strings.ToValidUTF8(text, "\ufffd")), limit)
	if len(data) == 0 {
		return body
	}
	body = binary.BigEndian.AppendUint16(append(body, tag), uint16(len(data)))
	return append(body, data...)
}

func prefix(requestID string, spanID [8]byte) []byte {
	opening := append([]byte{byte(len(requestID))}, requestID...)
	return append(opening, spanID[:]...)
}

// begin is a body of its own that opens with the prefix.
func begin(opening []byte, more int) []byte {
	return append(make([]byte, 0, len(opening)+more), opening...)
}

type start struct {
	coldStart           bool
	traceID             [16]byte
	startNs, deadlineMs uint64
	memoryMB, pid       uint32
	texts               []field
}

func encodeStart(opening []byte, fields start) []byte {
	body := append(begin(opening, 512), boolByte(fields.coldStart))
	body = append(body, fields.traceID[:]...)
	body = binary.BigEndian.AppendUint64(body, fields.startNs)
	body = binary.BigEndian.AppendUint64(body, fields.deadlineMs)
	body = binary.BigEndian.AppendUint32(body, fields.memoryMB)
	body = binary.BigEndian.AppendUint32(body, fields.pid)
	for _, one := range fields.texts {
		body = appendField(body, one.tag, one.text, maxFieldBytes)
	}
	return body
}

func encodeBody(opening []byte, timeNs uint64, captured Body) []byte {
	body := begin(opening, 18+len(captured.data))
	body = binary.BigEndian.AppendUint64(body, timeNs)
	body = binary.BigEndian.AppendUint64(body, captured.size)
	body = append(body, boolByte(captured.truncated), captured.content)
	return append(body, captured.data...)
}

type failure struct{ kind, message, stack string }

func appendFailure(body []byte, failed failure) []byte {
	body = appendField(body, 1, failed.kind, 256)
	body = appendField(body, 2, failed.message, 4096)
	return appendField(body, 3, failed.stack, 16384)
}

func encodeError(opening []byte, endNs uint64, failed failure) []byte {
	return appendFailure(binary.BigEndian.AppendUint64(begin(opening, 512), endNs), failed)
}

type spanFields struct {
	spanID, parentID [8]byte
	startNs, endNs   uint64
	name, attributes string
	failure          *failure
}

func encodeSpan(opening []byte, fields spanFields) []byte {
	body := append(begin(opening, 512), fields.spanID[:]...)
	body = append(body, fields.parentID[:]...)
	body = binary.BigEndian.AppendUint64(body, fields.startNs)
	body = binary.BigEndian.AppendUint64(body, fields.endNs)
	body = append(body, boolByte(fields.failure != nil))
	body = appendField(body, 4, fields.name, maxNameBytes)
	body = appendField(body, 5, fields.attributes, maxFieldBytes)
	if fields.failure != nil {
		body = appendFailure(body, *fields.failure)
	}
	return body
}

func encodeEvent(opening []byte, timeNs uint64, spanID [8]byte, name, attributes string) []byte {
	body := binary.BigEndian.AppendUint64(begin(opening, 256), timeNs)
	body = append(body, spanID[:]...)
	body = appendField(body, 4, name, maxNameBytes)
	return appendField(body, 5, attributes, maxFieldBytes)
}

func encodeFile(opening []byte, name string) []byte {
	return appendField(begin(opening, 64), 4, name, maxFieldBytes)
}

func boolByte(value bool) byte {
	if value {
		return 1
	}
	return 0
}
