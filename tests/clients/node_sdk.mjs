// Calls the unchanged Node SDK on behalf of a test: a question per line in, its answer out, both JSON.
// The same questions as python_sdk.py, answered with the same fields.
import { createInterface } from "node:readline";
import OpenAI, { OpenAIError } from "openai";

const clients = new Map();

function client(baseURL) {
  if (!clients.has(baseURL)) clients.set(baseURL, new OpenAI({ baseURL, apiKey: "unused", timeout: 30_000 }));
  return clients.get(baseURL);
}

async function answer({ base_url, call, positional, named }) {
  const path = call.split(".");
  const verb = path.pop();
  const resource = path.reduce((owner, name) => owner[name], client(base_url));
  const given = Object.keys(named).length ? [...positional, named] : positional;
  try {
    if (verb === "stream") return { body: await resource.stream(named).finalChatCompletion() };
    const { data, response } = await resource[verb](...given).withResponse();
    const headers = Object.fromEntries(response.headers);
    if (named.stream) {
      for await (const chunk of data) say({ chunk });
      return { headers };
    }
    // A page of a list carries its client with it.
    return { headers, body: data.iterPages ? { object: data.object, data: data.data } : data };
  } catch (error) {
    if (!(error instanceof OpenAIError)) throw error;
    const { message, code, param, type, status, headers } = error;
    const seen = { message, code, param, type, status, headers: Object.fromEntries(headers ?? []) };
    return { error: { name: error.constructor.name, ...seen } };
  }
}

function say(line) {
  console.log(JSON.stringify(line));
}

for await (const line of createInterface({ input: process.stdin })) say(await answer(JSON.parse(line)));
