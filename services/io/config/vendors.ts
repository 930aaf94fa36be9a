import type { ProtocolName } from '../../../schemas/work.ts'

/**
 * Vendors known by name: an entry of the file may leave out what stands here, and a key in the environment enables the
 * vendor without a file. `models` are those that only this vendor's name makes sense for; aggregators have none and are
 * asked by route, by pin, or by being the only one of their protocol.
 */
export type Vendor = {
  readonly name: string
  readonly protocol: ProtocolName
  /** Null where every customer has an address of their own. */
  readonly baseUrl: string | null
  /** The first that is set counts. */
  readonly keys: readonly string[]
  readonly models: readonly string[]
}

const openai = (name: string, baseUrl: string | null, key: string, models: readonly string[] = []): Vendor => ({
  name,
  protocol: 'openai',
  baseUrl,
  keys: [key],
  models,
})

export const vendors: readonly Vendor[] = [
  openai('openai', 'https://api.openai.com/v1', 'OPENAI_API_KEY', [
    'gpt-*',
    'chatgpt-*',
    'o1*',
    'o3*',
    'o4*',
    'text-embedding-*',
    'codex-*',
    'omni-moderation*',
  ]),
  {
    name: 'anthropic',
    protocol: 'anthropic',
    baseUrl: 'https://api.anthropic.com',
    keys: ['ANTHROPIC_API_KEY'],
    models: ['claude-*'],
  },
  {
    name: 'gemini',
    protocol: 'gemini',
    baseUrl: 'https://generativelanguage.googleapis.com',
    keys: ['GEMINI_API_KEY', 'GOOGLE_API_KEY'],
    models: ['gemini-*', 'gemma-*', 'text-embedding-004', 'embedding-001'],
  },
  {
    name: 'cohere',
    protocol: 'cohere',
    baseUrl: 'https://api.cohere.com',
    keys: ['COHERE_API_KEY', 'CO_API_KEY'],
    models: ['command-*', 'embed-*', 'c4ai-*'],
  },
  // Its address is its region's.
  { name: 'bedrock', protocol: 'bedrock', baseUrl: null, keys: ['AWS_BEARER_TOKEN_BEDROCK'], models: [] },
  openai('groq', 'https://api.groq.com/openai/v1', 'GROQ_API_KEY'),
  openai('mistral', 'https://api.mistral.ai/v1', 'MISTRAL_API_KEY', [
    'mistral-*',
    'ministral-*',
    'magistral-*',
    'codestral-*',
    'devstral-*',
    'pixtral-*',
    'open-mistral-*',
    'open-mixtral-*',
  ]),
  openai('openrouter', 'https://openrouter.ai/api/v1', 'OPENROUTER_API_KEY'),
  openai('deepseek', 'https://api.deepseek.com', 'DEEPSEEK_API_KEY', ['deepseek-*']),
  openai('xai', 'https://api.x.ai/v1', 'XAI_API_KEY', ['grok-*']),
  openai('cerebras', 'https://api.cerebras.ai/v1', 'CEREBRAS_API_KEY'),
  openai('together', 'https://api.together.xyz/v1', 'TOGETHER_API_KEY'),
  openai('fireworks', 'https://api.fireworks.ai/inference/v1', 'FIREWORKS_API_KEY'),
  openai('perplexity', 'https://api.perplexity.ai', 'PERPLEXITY_API_KEY', ['sonar*']),
  openai('zai', 'https://api.z.ai/api/paas/v4', 'ZAI_API_KEY', ['glm-*']),
  openai('huggingface', 'https://router.huggingface.co/v1', 'HF_TOKEN'),
  openai('voyageai', 'https://api.voyageai.com/v1', 'VOYAGE_API_KEY', ['voyage-*']),
  openai('azure', null, 'AZURE_OPENAI_API_KEY'),
  openai('ollama', 'http://127.0.0.1:11434/v1', 'OLLAMA_API_KEY'),
  openai('vllm', 'http://127.0.0.1:8000/v1', 'VLLM_API_KEY'),
]
