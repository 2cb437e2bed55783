// A program as users write it, on the client that openapi-typescript and openapi-fetch make of openapi.json.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Contact = components["schemas"]["Contact"];
type Failure = components["schemas"]["Error"];

const [baseUrl, token] = process.argv.slice(2);
const admin = createClient<paths>({ baseUrl, headers: { "X-Role": "Contact Center Admin" } });
const agent = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
const nobody = createClient<paths>({ baseUrl });

function fails(result: { error?: Failure; response: Response }, status: number, statusCode: Failure["statusCode"]) {
  assert.equal(result.response.status, status);
  assert.equal(result.error?.statusCode, statusCode);
  assert.ok(result.error.statusMessage.length > 0);
}

async function create(name: string, phoneNumber?: string): Promise<Contact> {
  const { data, error } = await admin.POST("/contacts", { body: { name, phoneNumber } });
  assert.ok(data, error?.statusMessage);
  return data.contact;
}

// Create
const created: Contact[] = [];
for (const name of ["Ann", "Bob", "Cid", "Dee", "Eve"]) {
  created.push(await create(`Typed ${name}`, "555-0100"));
}
const [ann, bob] = created as [Contact, Contact];
assert.equal(ann.type, "Custom");

// List, search, page
const byName = await agent.GET("/contacts", { params: { query: { name: ["Typed Ann", "Typed Bob"] } } });
assert.deepEqual(byName.data?.contacts, [ann, bob]);
const users = await agent.GET("/contacts", { params: { query: { type: ["User", "Queue"], fields: ["name", "type"] } } });
assert.deepEqual(users.data?.contacts, [
  { name: "Joe Johnson", type: "User" },
  { name: "Sales", type: "Queue" },
]);
const typed = await agent.GET("/contacts", { params: { query: { q: "ty", sortBy: ["name"], order: "Descending" } } });
assert.deepEqual(typed.data?.contacts, [...created].reverse());
const matched = await agent.GET("/contacts", {
  params: { query: { filterName: "NamesOrPhoneNumberMatches", filterParameters: ["typed*", "*e*"] } },
});
assert.equal(matched.data?.totalCount, 5);
const paged: string[] = [];
for (let offset = 0; ; offset += 2) {
  const { data } = await agent.GET("/contacts", { params: { query: { q: "typed", offset, limit: 2 } } });
  assert.equal(data?.totalCount, 5);
  paged.push(...data.contacts.map((contact) => contact.name ?? ""));
  if (paged.length >= data.totalCount) break;
}
assert.deepEqual(paged, created.map((contact) => contact.name));

// Get, update
const path = { id: ann.id };
const read = await agent.GET("/contacts/{id}", { params: { path } });
assert.deepEqual(read.data?.contact, ann);
const tag = read.response.headers.get("ETag") ?? "";
const header = { "If-Match": tag };
const changed = await admin.PUT("/contacts/{id}", { params: { path, header }, body: { phoneNumber: null } });
assert.deepEqual(changed.data?.contact, { id: ann.id, name: "Typed Ann", type: "Custom" });
const again = await admin.PUT("/contacts", { body: { id: bob.id, name: "Typed Bobby" } });
assert.equal(again.data?.contact.name, "Typed Bobby");
const current = { "If-None-Match": changed.response.headers.get("ETag") ?? "" };
const kept = await agent.GET("/contacts/{id}", { params: { path, header: current } });
assert.equal(kept.response.status, 304);

// Errors
const missing = { id: "0".repeat(32) };
fails(await nobody.GET("/contacts"), 401, 20);
fails(await agent.POST("/contacts", { body: { name: "x" } }), 403, 5);
const { data: joe } = await agent.GET("/contacts", { params: { query: { userName: ["joej"], fields: ["id"] } } });
fails(await admin.DELETE("/contacts", { params: { query: { id: joe?.contacts[0]?.id ?? "" } } }), 403, 3);
fails(await agent.GET("/contacts/{id}", { params: { path: missing } }), 404, 6);
fails(await admin.PUT("/contacts/{id}", { params: { path, header }, body: { name: "Late" } }), 412, 2);
fails(await admin.POST("/contacts", { body: { name: "x".repeat(70_000) } }), 413, 2);
fails(await admin.POST("/contacts", { body: { name: "x" }, headers: { "Content-Type": "text/plain" } }), 415, 2);
fails(await admin.POST("/contacts", { body: { name: "x" }, bodySerializer: () => "{" }), 400, 2);
// @ts-expect-error: the name is required
fails(await admin.POST("/contacts", { body: {} }), 422, 1);
// @ts-expect-error: there is no such parameter
fails(await agent.GET("/contacts", { params: { query: { nmae: "Joe" } } }), 422, 2);
const tooLong = await admin.POST("/contacts", { body: { name: "x".repeat(256) } });
fails(tooLong, 422, 10);
assert.equal(tooLong.error?.errors?.["name"]?.length, 1);
// @ts-expect-error: clients make Custom contacts
fails(await admin.POST("/contacts", { body: { name: "x", type: "User" } }), 422, 11);

// Delete
const done = await admin.DELETE("/contacts/{id}", { params: { path } });
assert.equal(done.data?.statusCode, 0);
for (const { id } of created.slice(1)) {
  assert.ok((await admin.DELETE("/contacts", { params: { query: { id } } })).data);
}
fails(await admin.DELETE("/contacts/{id}", { params: { path } }), 404, 6);
console.log("all is well");
