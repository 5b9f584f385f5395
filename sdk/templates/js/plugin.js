// The step's config arrives as JSON text, its output is JSON text. What is thrown fails the attempt.
export function run(input) {
    const config = JSON.parse(input);
    if (!config.name) throw new Error("`name` is missing");
    return JSON.stringify({ greeting: `Hello, ${config.name}!` });
}
