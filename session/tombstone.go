package session

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

// How a store ends many sessions: a forced logout of everyone is a hundred thousand of them, and
// decoding and encoding a record costs more than all else of an end.

// AppendEnded appends to buffer the record of a session that has ended, as [Record.Encode] writes
// it, and returns the extended buffer. data is the record of the live session, as Encode wrote it;
// active is the last activity that the store knows of. The record that is returned has what
// [EndEvent] and [Record.KeepUntil] need, and nothing else. The errors are those of [Decode].
func AppendEnded(buffer []byte, id ID, data []byte, active time.Time, end End) ([]byte, Record, error) {
	out, r, ok := spliceEnd(buffer, data, active, &end)
	if !ok {
		var err error
		if r, err = Decode(id, data); err != nil {
			return nil, Record{}, err
		}
		r.LastActiveAt, r.Values, r.End = active, nil, &end
		if data, err = r.Encode(); err != nil {
			return nil, Record{}, err
		}
		out = append(buffer, data...)
	}
	return out, Record{
		ID:      id,
		User:    r.User,
		Address: r.Address,
		Policy:  Policy{KeepPage: r.Policy.KeepPage},
		End:     &end,
	}, nil
}

// recordStart is how Encode begins a record.
var recordStart = []byte(`{"v":` + strconv.Itoa(recordFormat) + `,`)

// spliceEnd is AppendEnded without decoding. ok is false where data is not as Encode writes the
// record of a live session today.
//
// Each name that is looked for stands once in such a record. A text that looks like one is none:
// its quotes are escaped.
func spliceEnd(buffer, data []byte, active time.Time, end *End) (out []byte, r Record, ok bool) {
	user, _, hasUser := cutValue(data, `"user":`)
	since, afterSince, hasSince := cutValue(data, `"last_active_at":`)
	if !hasUser || !hasSince || !bytes.HasPrefix(data, recordStart) || !bytes.HasSuffix(data, []byte("}")) ||
		bytes.Contains(data, []byte(`"end":`)) || json.Unmarshal(user, &r.User) != nil {
		return nil, r, false
	}
	if address, _, has := cutValue(data, `"address":`); has && json.Unmarshal(address, &r.Address) != nil {
		return nil, r, false
	}
	if keep, _, has := cutValue(data, `"keep_page":`); has && json.Unmarshal(keep, &r.Policy.KeepPage) != nil {
		return nil, r, false
	}
	why, err := json.Marshal(end)
	if err != nil {
		return nil, r, false
	}
	before := len(data) - len(afterSince) - len(since)
	out = append(buffer, data[:before]...)
	out = strconv.AppendInt(out, UnixMilli(active), 10)
	rest := afterSince[:len(afterSince)-1]
	if _, afterValues, has := cutValue(rest, `,"values":`); has {
		at := bytes.Index(rest, []byte(`,"values":`))
		out, rest = append(out, rest[:at]...), afterValues
	}
	out = append(out, rest...)
	out = append(out, `,"end":`...)
	out = append(out, why...)
	return append(out, '}'), r, true
}

// cutValue finds the value behind a name, which is a number or a text, and what follows it.
func cutValue(data []byte, name string) (value, rest []byte, ok bool) {
	at := bytes.Index(data, []byte(name))
	if at < 0 {
		return nil, nil, false
	}
	data = data[at+len(name):]
	n := 0
	if len(data) > 0 && data[0] == '"' {
		for n = 1; n < len(data) && data[n] != '"'; n++ {
			if data[n] == '\\' {
				n++
			}
		}
		n++
	} else {
		n = bytes.IndexAny(data, ",}]")
	}
	if n <= 0 || n > len(data) {
		return nil, nil, false
	}
	return data[:n], data[n:], true
}
