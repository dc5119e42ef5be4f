package vfs
