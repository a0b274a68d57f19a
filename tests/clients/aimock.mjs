// The unchanged mock of many providers, told what to say. Prints its address when it listens; ends with its input.
import { LLMock } from "@copilotkit/aimock";

const mock = new LLMock({ port: 0 });
const trip = { name: "plan_trip", arguments: JSON.stringify({ city: "Oslo", days: 3 }) };
const done = "Have a good time in Oslo.";
mock.addFixture({ match: { userMessage: "How is it?" }, response: { content: "It is fine so far." } });
mock.addFixture({ match: { userMessage: "Where to?", hasToolResult: true }, response: { content: done } });
mock.addFixture({ match: { userMessage: "Where to?", hasToolResult: false }, response: { toolCalls: [trip] } });
const limited = { message: "Slow down.", type: "rate_limit_error", code: "rate_limit_exceeded" };
mock.addFixture({ match: { userMessage: "Now!" }, response: { error: limited, status: 429 } });
console.log(await mock.start());
process.stdin.resume().on("end", () => process.exit());
