package slacksim

import "strings"

// emptyState returns the state of an element that nobody touched, nil for an
// element that has none.
func emptyState(kind string) object {
	o := object{"type": kind}
	switch kind {
	case "plain_text_input", "number_input", "email_text_input", "url_text_input":
		o["value"] = nil
	case "static_select", "radio_buttons":
		o["selected_option"] = nil
	case "checkboxes", "multi_static_select":
		o["selected_options"] = []any{}
	case "datepicker":
		o["selected_date"] = nil
	case "timepicker":
		o["selected_time"] = nil
	case "datetimepicker":
		o["selected_date_time"] = nil
	case "users_select", "channels_select", "conversations_select":
		o["selected_"+strings.TrimSuffix(strings.TrimSuffix(kind, "_select"), "s")] = nil
	case "multi_users_select", "multi_channels_select", "multi_conversations_select":
		o["selected_"+strings.TrimSuffix(strings.TrimPrefix(kind, "multi_"), "_select")] = []any{}
	case "file_input":
		o["files"] = []any{}
	default:
		return nil
	}
	return o
}

// setInitial copies an element's initial value into its state.
func setInitial(state, element object) {
	for key := range state {
		var from string
		switch {
		case key == "value":
			from = "initial_value"
		case strings.HasPrefix(key, "selected_"):
			from = "initial_" + strings.TrimPrefix(key, "selected_")
		default:
			continue
		}
		if value, ok := element[from]; ok && value != "" {
			state[key] = value
		}
	}
}

// chosen returns what a state holds: the text, or the values of the options.
func chosen(state object) (text string, values []string) {
	for key, v := range state {
		if key == "type" {
			continue
		}
		switch v := v.(type) {
		case string:
			text = v
			if key != "value" {
				values = []string{v}
			}
		case object:
			value, _ := v["value"].(string)
			values = []string{value}
		case []any:
			for _, item := range v {
				switch item := item.(type) {
				case object:
					value, _ := item["value"].(string)
					values = append(values, value)
				case string:
					values = append(values, item)
				}
			}
		}
	}
	return text, values
}
