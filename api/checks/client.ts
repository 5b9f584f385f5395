// What a team's first program does, with a client that was generated from the document: publish, run, look, and read a
// refusal. The compiler checks that the document says what the server answers; running it checks that it is true.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

const baseUrl = process.argv[2];
assert(baseUrl, "usage: node client.js URL");
const client = createClient<paths>({ baseUrl });
const workflow = "typescript-client";

const published = await client.POST("/api/workflows", {
  body: {
    name: workflow,
    steps: [{ id: "greet", type: "log", config: { message: "hello ${input.name}" } }],
    output: { greeting: "hello ${input.name}" },
  },
});
assert.equal(published.response.status, 201, JSON.stringify(published.error));
assert.equal(published.data?.version, 1);

const run = await client.POST("/api/workflows/{workflow}/execute", {
  params: { path: { workflow }, query: { wait: 30_000 } },
  body: { input: { name: "Ada" }, labels: { from: "typescript" } },
});
assert.equal(run.data?.status, "succeeded", JSON.stringify(run.error));
assert.deepEqual(run.data?.output, { greeting: "hello Ada" });

const id = run.data.id;
const execution = await client.GET("/api/executions/{id}", { params: { path: { id } } });
assert.equal(execution.data?.steps[0]?.status, "succeeded");

const page = await client.GET("/api/executions", {
  params: { query: { workflow, label: "from:typescript", limit: 1 } },
});
assert.equal(page.data?.items[0]?.id, id);

const refused = await client.POST("/api/executions/{id}/cancel", { params: { path: { id } }, body: {} });
assert.equal(refused.response.status, 409);
assert.equal(refused.error?.code, "EXECUTION_ENDED");

const health = await client.GET("/api/admin/health");
assert.equal(health.data?.metrics.workers_active, 1);
console.log("typescript client: ok");
