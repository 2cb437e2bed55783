// Swagger UI would send the examples of optional parameters, and link the licence to another host.
const shown = (text) => {
  const spec = JSON.parse(text);
  delete spec.info.license;
  const operations = Object.values(spec.paths).flatMap(Object.values);
  const parameters = operations.flatMap((operation) => operation.parameters ?? []);
  for (const parameter of [...parameters, ...Object.values(spec.components.parameters)]) {
    if (!parameter.required && "example" in parameter) {
      parameter.description += ` Example: \`${parameter.example}\``;
      delete parameter.example;
    }
  }
  return JSON.stringify(spec);
};

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  validatorUrl: null, // or it would ask another host about the document
  tryItOutEnabled: true,
  plugins: [
    () => ({ statePlugins: { spec: { wrapActions: { updateSpec: (next) => (text) => next(shown(text)) } } } }),
  ],
});
