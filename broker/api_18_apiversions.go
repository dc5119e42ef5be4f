package broker

import (
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
)

// ApiVersions, versions 0-5: what this broker serves. protocol.md 2.2, 1-3.
//
//   - The client does not know yet what the broker speaks, so a version from the future is answered too: in version 0, with
//     UNSUPPORTED_VERSION and the versions of this one API. Its body cannot be read and is not.
//   - From version 3 on the client's software names itself, in a form that may stand in metrics and logs.
//   - From version 5 on it may say whom it believes to talk to, cluster and node together or neither (KIP-1242).
//   - Supported features whose lowest level is 0 may not be told to versions below 4 (KAFKA-17492). Features of APIs that are not
//     built are neither supported nor finalized (DESIGN D1).

func (n *Node) handleAPIVersions(c *call) {
	own := apiFor(apiVersionsKey)
	resp := new(wire.ApiVersionsResponse)
	resp.Default()
	version := c.header.Version
	if version < own.min || version > own.max {
		resp.ErrorCode = wire.UnsupportedVersion
		k := resp.AddAPIKey()
		k.Key, k.MinVersion, k.MaxVersion = own.key, own.advertMin, own.max
		// The response header of ApiVersions is the same in every version; the body is that of version 0.
		c.respond(func(dst []byte) []byte { return resp.Append(0, dst) })
		return
	}
	req := new(wire.ApiVersionsRequest)
	if err := req.Decode(version, c.body); err != nil {
		c.fail(err)
		return
	}
	im := n.image()
	switch {
	case version >= 3 && !(softwareName(req.ClientSoftwareName) && softwareName(req.ClientSoftwareVersion)):
		resp.ErrorCode = wire.InvalidRequest
	case req.ClusterID.Valid != (req.NodeID != -1):
		resp.ErrorCode = wire.InvalidRequest
	case req.ClusterID.Valid && (req.ClusterID.Value != im.ClusterID() || req.NodeID != n.id):
		resp.ErrorCode = wire.RebootstrapRequired
	default:
		n.fillAPIVersions(resp, im, version)
	}
	c.respond(func(dst []byte) []byte { return resp.Append(version, dst) })
}

// minMetadataVersion is the lowest level of metadata.version that Kafka 4.4 can be set back to, 3.3-IV3.
const minMetadataVersion = 7

func (n *Node) fillAPIVersions(resp *wire.ApiVersionsResponse, im *meta.Image, version int16) {
	resp.APIKeys = advertised // of all replies: it is only read
	if version < 3 {
		return
	}
	s := resp.AddSupportedFeature()
	s.Name, s.MinVersion, s.MaxVersion = meta.MetadataVersionFeature, minMetadataVersion, meta.MetadataVersion
	resp.FinalizedFeaturesEpoch = im.Index()
	im.EachFeature(func(name string, level int16) bool {
		f := resp.AddFinalizedFeature()
		f.Name, f.MinVersionLevel, f.MaxVersionLevel = name, level, level
		return true
	})
}

// softwareName tells whether s matches [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?
func softwareName(s string) bool {
	for i := range len(s) {
		c := s[i]
		plain := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if inner := i > 0 && i < len(s)-1; !plain && !(inner && (c == '-' || c == '.')) {
			return false
		}
	}
	return s != ""
}
