// Calls the unchanged AI SDK on behalf of a test: a question per line in, its answer out, both JSON.
import { createInterface } from "node:readline";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogle } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, isStepCount, Output, streamText, tool } from "ai";
import { z } from "zod";

const apiKey = "unused";
const models = {
  compatible: (url, model) =>
    createOpenAICompatible({
      name: "gateway",
      baseURL: `${url}/v1`,
      apiKey,
      includeUsage: true,
      supportsStructuredOutputs: true,
    })(model),
  chat: (url, model) => createOpenAI({ baseURL: `${url}/v1`, apiKey }).chat(model),
  responses: (url, model) => createOpenAI({ baseURL: `${url}/v1`, apiKey }).responses(model),
  anthropic: (url, model) => createAnthropic({ baseURL: `${url}/v1`, apiKey })(model),
  // It puts `models/` before a name only where the name has no slash.
  google: (url, model) => createGoogle({ baseURL: `${url}/v1beta`, apiKey })(`models/${model}`),
};
const trip = z.object({ city: z.enum(["Oslo", "Rome"]), days: z.int().min(0).max(9) });
const plan_trip = tool({
  description: "Plans a trip.",
  inputSchema: trip,
  execute: async ({ city, days }) => `${days} nights in ${city} are booked.`,
});

async function answer({ dialect, url, model, task, prompt, settings }) {
  const asked = { model: models[dialect](url, model), prompt, maxRetries: 0, maxOutputTokens: 400, ...settings };
  try {
    if (task === "object") {
      // By itself it asks for a tool where it does not know the model.
      const providerOptions = { anthropic: { structuredOutputMode: "outputFormat" } };
      const held = { temperature: 0, output: Output.object({ schema: trip }), providerOptions };
      const { output } = await generateText({ ...asked, ...held });
      return { object: output };
    }
    const more = task.startsWith("tools") ? { tools: { plan_trip }, stopWhen: isStepCount(3) } : {};
    if (!task.endsWith("stream")) {
      const { text, finishReason, totalUsage } = await generateText({ ...asked, ...more });
      return { text, finishReason, usage: totalUsage };
    }
    const stream = streamText({ ...asked, ...more, onError: () => {} });
    const pieces = [];
    for await (const piece of stream.textStream) pieces.push(piece);
    return { pieces, text: await stream.text, finishReason: await stream.finishReason, usage: await stream.totalUsage };
  } catch (error) {
    if (!APICallError.isInstance(error)) return { error: { name: error?.name ?? String(error), message: error?.message } };
    return { error: { name: error.name, message: error.message, status: error.statusCode, retry: error.isRetryable } };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(JSON.parse(line))));
}
