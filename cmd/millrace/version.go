package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/wire"
)

var version = "unknown" // set by the linker; else the module's version, else the commit

func versionString() string {
	if version != "unknown" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return version
}

// kafkaVersion is the Kafka whose behaviour decides.
const kafkaVersion = "4.4"

func printVersion() error {
	_, err := fmt.Printf("millrace %s (%s, %s/%s), speaks Kafka %s\n", versionString(), runtime.Version(), runtime.GOOS, runtime.GOARCH, kafkaVersion)
	return err
}

type versionDocument struct {
	Schema       string       `json:"schema"`
	Version      string       `json:"version"`
	Commit       string       `json:"commit"`
	Go           string       `json:"go"`
	Platform     string       `json:"platform"`
	RecordFormat int          `json:"record_format"`
	Kafka        string       `json:"kafka"`
	APIs         []apiVersion `json:"apis"`
}

type apiVersion struct {
	Key  int16  `json:"key"`
	Name string `json:"name"`
	Min  int16  `json:"min"`
	Max  int16  `json:"max"`
}

func newVersion() *cobra.Command {
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version, and with -o json what it speaks",
		Example: "  millrace version\n  millrace version -o json | jq '.apis'",
		Args:    needs(),
	}
	output := addOutput(c, "text", "json")
	c.RunE = func(*cobra.Command, []string) error {
		d := versionDocument{
			Schema: "millrace.version/v1", Version: versionString(), Commit: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
			RecordFormat: 2, Kafka: kafkaVersion,
		}
		for _, api := range wire.APIs {
			d.APIs = append(d.APIs, apiVersion{api.Key, api.Name, api.Min, api.Max})
		}
		if *output == "json" {
			return printJSON(os.Stdout, d)
		}
		return printVersion()
	}
	return c
}
