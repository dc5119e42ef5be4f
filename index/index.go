// Package index holds the sparse indexes of one segment.
package index
