// What Go's encoding/json reads of chat bodies, each behind its length in four bytes: one line of JSON for each.
// Go ignores the case of names where it reads into a structure, and takes the last of several.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

type request struct {
	Model               any             `json:"model"`
	Stream              any             `json:"stream"`
	StreamOptions       *options        `json:"stream_options"`
	MaxTokens           any             `json:"max_tokens"`
	MaxCompletionTokens any             `json:"max_completion_tokens"`
	N                   any             `json:"n"`
	Messages            json.RawMessage `json:"messages"`
	Tools               json.RawMessage `json:"tools"`
}

type options struct {
	IncludeUsage any `json:"include_usage"`
}

type message struct {
	Role    any             `json:"role"`
	Content json.RawMessage `json:"content"`
}

type part struct {
	Type any `json:"type"`
}

// What is no list has no items.
func items(list json.RawMessage) []json.RawMessage {
	var found []json.RawMessage
	_ = json.Unmarshal(list, &found)
	return found
}

func read(body []byte) (map[string]any, error) {
	var told request
	if err := json.Unmarshal(body, &told); err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, err
	}
	roles, images := map[any]int{}, 0
	for _, item := range items(told.Messages) {
		var said message
		if item[0] != '{' || json.Unmarshal(item, &said) != nil {
			continue
		}
		if role, is := said.Role.(string); is {
			roles[role]++
		}
		for _, piece := range items(said.Content) {
			var shown part
			if piece[0] != '{' || json.Unmarshal(piece, &shown) != nil {
				continue
			}
			switch shown.Type {
			case "image_url", "input_image", "image":
				images++
			}
		}
	}
	limit := told.MaxCompletionTokens
	if limit == nil {
		limit = told.MaxTokens
	}
	var usage any
	if told.StreamOptions != nil {
		usage = told.StreamOptions.IncludeUsage
	}
	return map[string]any{
		"model": told.Model, "stream": told.Stream, "include_usage": usage, "max_tokens": limit, "n": told.N,
		"messages": len(items(told.Messages)), "system": roles["system"], "user": roles["user"], "image": images,
		"tools": len(items(told.Tools)), "empty": len(members) == 0,
	}, nil
}

func main() {
	bodies, told := bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)
	defer told.Flush()
	var size uint32
	for binary.Read(bodies, binary.LittleEndian, &size) == nil {
		body := make([]byte, size)
		if _, err := io.ReadFull(bodies, body); err != nil {
			panic(err)
		}
		seen, err := read(body)
		if err != nil {
			seen = map[string]any{"refused": err.Error()}
		}
		line, err := json.Marshal(seen)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(told, "%s\n", line)
	}
}
