// A Terraform provider that knows schemas and nothing else: `terraform validate` and `terraform
// test` with a mocked provider ask for no more. The schemas are the AWS provider's, in the file
// that SCHEMA names.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

type attribute struct {
	Type     string `json:"type"`
	Required bool   `json:"required"`
	Computed bool   `json:"computed"`
}

type block struct {
	Attributes map[string]attribute `json:"attributes"`
	Blocks     map[string]block     `json:"blocks"`
	MaxItems   int64                `json:"max_items"`
}

type file struct {
	Resources   map[string]block `json:"resources"`
	DataSources map[string]block `json:"data_sources"`
}

var types = map[string]tftypes.Type{
	"string":       tftypes.String,
	"number":       tftypes.Number,
	"bool":         tftypes.Bool,
	"list(string)": tftypes.List{ElementType: tftypes.String},
	"map(string)":  tftypes.Map{ElementType: tftypes.String},
	"map(number)":  tftypes.Map{ElementType: tftypes.Number},
}

func schemaBlock(from block) *tfprotov6.SchemaBlock {
	made := &tfprotov6.SchemaBlock{}
	for name, one := range from.Attributes {
		kind, ok := types[one.Type]
		if !ok {
			log.Fatalf("%s: unknown type %s", name, one.Type)
		}
		made.Attributes = append(made.Attributes, &tfprotov6.SchemaAttribute{
			Name:     name,
			Type:     kind,
			Required: one.Required,
			Optional: !one.Required && !one.Computed,
			// What is optional may be the provider's to fill in: nothing tells the two apart.
			Computed: !one.Required,
		})
	}
	for name, one := range from.Blocks {
		made.BlockTypes = append(made.BlockTypes, &tfprotov6.SchemaNestedBlock{
			TypeName: name,
			Nesting:  tfprotov6.SchemaNestedBlockNestingModeList,
			Block:    schemaBlock(one),
			MaxItems: one.MaxItems,
		})
	}
	return made
}

func schemas(from map[string]block) map[string]*tfprotov6.Schema {
	made := map[string]*tfprotov6.Schema{}
	for name, one := range from {
		made[name] = &tfprotov6.Schema{Block: schemaBlock(one)}
	}
	return made
}

// server has no answer to what is not asked here: the interface within is nil.
type server struct {
	tfprotov6.ProviderServer
	known file
}

func (s server) GetMetadata(context.Context, *tfprotov6.GetMetadataRequest) (*tfprotov6.GetMetadataResponse, error) {
	return &tfprotov6.GetMetadataResponse{}, nil
}

func (s server) GetProviderSchema(context.Context, *tfprotov6.GetProviderSchemaRequest) (*tfprotov6.GetProviderSchemaResponse, error) {
	region := &tfprotov6.SchemaAttribute{Name: "region", Type: tftypes.String, Optional: true}
	return &tfprotov6.GetProviderSchemaResponse{
		Provider:          &tfprotov6.Schema{Block: &tfprotov6.SchemaBlock{Attributes: []*tfprotov6.SchemaAttribute{region}}},
		ResourceSchemas:   schemas(s.known.Resources),
		DataSourceSchemas: schemas(s.known.DataSources),
	}, nil
}

func (s server) ValidateProviderConfig(_ context.Context, asked *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: asked.Config}, nil
}

func (s server) ValidateResourceConfig(context.Context, *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	return &tfprotov6.ValidateResourceConfigResponse{}, nil
}

func (s server) ValidateDataResourceConfig(context.Context, *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	return &tfprotov6.ValidateDataResourceConfigResponse{}, nil
}

func (s server) StopProvider(context.Context, *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}

func main() {
	text, err := os.ReadFile(os.Getenv("SCHEMA"))
	if err != nil {
		log.Fatal(err)
	}
	var known file
	if err := json.Unmarshal(text, &known); err != nil {
		log.Fatal(err)
	}
	made := func() tfprotov6.ProviderServer { return server{known: known} }
	if err := tf6server.Serve("registry.terraform.io/hashicorp/aws", made); err != nil {
		log.Fatal(err)
	}
}
