package trial

import "strings"

// counted is a figure of the runs that gave back what they acknowledged, though the generator may have been the limit: for what is counted that is
// no matter.
func (c *CellResult) counted(target string, m Metric) (float64, bool) {
	var v []float64
	for _, s := range c.Segments {
		if s.Target != target || s.Result == nil || s.Result.Errors > 0 || !s.Result.Verdict.Intact() {
			continue
		}
		if one, ok := m.Of(s.Result); ok {
			v = append(v, one)
		}
	}
	if len(v) == 0 {
		return 0, false
	}
	return median(v), true
}

// unquiet is what kept every run of a target from being quiet, as the last one has it; "" when one was, when requests failed, or when there is none.
func (c *CellResult) unquiet(target string) (why string) {
	for _, s := range c.Segments {
		if s.Target != target || s.Result == nil {
			continue
		}
		if s.Result.Errors > 0 || len(inVain(s.Result)) == 0 {
			return ""
		}
		why = strings.Join(inVain(s.Result), "; ")
	}
	return why
}
