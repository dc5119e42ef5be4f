package broker

import (
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
)

// DeleteTopics, versions 1-6: by name, from version 6 on also by id. meta.DeleteTopics decides. The answer comes when the topics are gone
// for good; the files of their partitions follow after file.delete.delay.ms.

func (n *Node) handleDeleteTopics(c *call) {
	req := new(wire.DeleteTopicsRequest)
	if err := req.Decode(c.header.Version, c.body); err != nil {
		c.fail(err)
		return
	}
	refs := topicRefs(req, c.header.Version)
	if !n.config.Bool("delete.topic.enable") {
		code := wire.TopicDeletionDisabled
		if c.header.Version < 3 { // that code came with version 3
			code = wire.InvalidRequest
		}
		n.answerDeleteTopics(c, refuseAll(refs, code))
		return
	}
	var results []meta.TopicResult
	n.quorum.Propose(func(im *meta.Image, _ int64) (rs []meta.Record, err error) {
		rs, results = meta.DeleteTopics(im, refs)
		return rs, nil
	}, func(_ *meta.Image, err error) {
		if err != nil {
			results = refuseAll(refs, proposalCode(err))
		}
		n.answerDeleteTopics(c, results)
	})
}

func topicRefs(req *wire.DeleteTopicsRequest, version int16) []meta.TopicRef {
	var refs []meta.TopicRef
	if version < 6 {
		for _, name := range req.TopicNames {
			refs = append(refs, meta.TopicRef{Name: name, Named: true})
		}
		return refs
	}
	for i := range req.Topics {
		t := &req.Topics[i]
		refs = append(refs, meta.TopicRef{Name: t.Name.Value, Named: t.Name.Valid, ID: t.TopicID})
	}
	return refs
}

func refuseAll(refs []meta.TopicRef, code wire.Code) []meta.TopicResult {
	results := make([]meta.TopicResult, len(refs))
	for i, ref := range refs {
		results[i] = meta.TopicResult{Name: ref.Name, Named: ref.Named, ID: ref.ID, Code: code}
	}
	return results
}

func (n *Node) answerDeleteTopics(c *call, results []meta.TopicResult) {
	resp := new(wire.DeleteTopicsResponse)
	resp.Default()
	for i := range results {
		r, t := &results[i], resp.AddTopic()
		t.Name = wire.NullString{Value: r.Name, Valid: r.Named || c.header.Version < 6}
		t.TopicID, t.ErrorCode = r.ID, r.Code
		if r.Code != wire.None {
			t.ErrorMessage = wire.Str(r.Message)
			if r.Message == "" {
				t.ErrorMessage = wire.Str(r.Code.Message())
			}
		}
	}
	c.respond(func(dst []byte) []byte { return resp.Append(c.header.Version, dst) })
}
