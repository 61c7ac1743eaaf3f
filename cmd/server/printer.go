package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// printer writes answers for people or for programs.
type printer struct {
	to      io.Writer
	notes   io.Writer // what people should know beside the answer
	json    bool
	command string
}

// nobody tells that whoever is named is not signed in: the name may be wrong.
func (p printer) nobody(named map[string]any) {
	for _, kind := range []string{"user", "group"} {
		if name, ok := named[kind]; ok {
			fmt.Fprintf(p.notes, "curfew %s: nobody of that name is signed in: %s %s\n",
				p.command, kind, oneLine(fmt.Sprint(name)))
		}
	}
}

func (p printer) object(v map[string]any, columns ...string) error {
	if p.json {
		return p.encode(v)
	}
	t := tabwriter.NewWriter(p.to, 0, 0, 2, ' ', 0)
	for _, c := range columns {
		if value, ok := v[c]; ok {
			fmt.Fprintf(t, "%s\t%s\n", strings.ReplaceAll(c, "_", " "), cell(value))
		}
	}
	return t.Flush()
}

func (p printer) table(items []map[string]any, columns ...string) error {
	if p.json {
		if items == nil {
			items = []map[string]any{}
		}
		return p.encode(map[string]any{"items": items})
	}
	t := tabwriter.NewWriter(p.to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.ToUpper(strings.ReplaceAll(strings.Join(columns, "\t"), "_", " ")))
	for _, item := range items {
		cells := make([]string, len(columns))
		for i, c := range columns {
			cells[i] = cell(item[c])
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

func (p printer) encode(v any) error {
	e := json.NewEncoder(p.to)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case []any:
		parts := make([]string, len(v))
		for i, part := range v {
			parts[i] = cell(part)
		}
		return strings.Join(parts, ",")
	case map[string]any:
		for k, value := range v {
			return oneLine(strings.TrimSuffix(fmt.Sprint(k, " ", value), " true"))
		}
	case string:
		if v == "" {
			return "-"
		}
		return oneLine(v)
	}
	return oneLine(fmt.Sprint(v))
}

// oneLine keeps what others have written from breaking out of its line, or from steering the
// terminal.
func oneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 {
			return ' '
		}
		return c
	}, s)
}
