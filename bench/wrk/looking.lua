-- How an answer is looked at: fields of flat JSON, and what stands in a JWT. Nothing is verified here: the harness checks
-- the signature of the last answer of each run.
local bit = require("bit")
local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
local value_of = {}
for index = 1, #ALPHABET do value_of[string.byte(ALPHABET, index)] = index - 1 end

function decoded(text)
  local out, held, bits = {}, 0, 0
  for index = 1, #text do
    local value = value_of[string.byte(text, index)]
    if not value then return "" end
    held, bits = bit.bor(bit.lshift(bit.band(held, 0xffff), 6), value), bits + 6
    if bits >= 8 then
      bits = bits - 8
      out[#out + 1] = string.char(bit.band(bit.rshift(held, bits), 0xff))
    end
  end
  return table.concat(out)
end

function text_of(json, name)
  return string.match(json, '"' .. name .. '"%s*:%s*"([^"]*)"')
end

function has(json, name)
  return string.find(json, '"' .. name .. '"%s*:') ~= nil
end

function words(text)
  local found = {}
  for word in string.gmatch(text or "", "%S+") do found[#found + 1] = word end
  return found
end

-- What is wrong with a token that should be signed by `algorithm` and have all of `claims`; nil if nothing is.
function fault_of_jwt(token, algorithm, claims)
  local header, payload, signature = string.match(token, "^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$")
  if not header then return "no JWT" end
  if text_of(decoded(header), "alg") ~= algorithm then return "not signed by " .. algorithm end
  if #signature < 86 then return "a short signature" end
  local inside = decoded(payload)
  for _, name in ipairs(claims) do
    if not has(inside, name) then return "a token without " .. name end
  end
end
