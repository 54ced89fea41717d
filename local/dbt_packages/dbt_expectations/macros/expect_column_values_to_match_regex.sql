{% test expect_column_values_to_match_regex(
    model, column_name, regex, row_condition=none, is_raw=false, flags=""
) %}

{#- BigQuery refuses an unknown escape; the emulator accepts it. -#}
{%- set known_escapes = "abfnrtv\\?\"'`xXuU01234567" -%}
{%- for escape in modules.re.findall("\\\\(.)", regex) if escape not in known_escapes -%}
    {%- if execute and not is_raw -%}
        {{ exceptions.raise_compiler_error(
            "expect_column_values_to_match_regex: BigQuery has no escape \\" ~ escape
            ~ " in a string that is not raw; give the regex " ~ regex ~ " with is_raw: true"
        ) }}
    {%- endif -%}
{%- endfor -%}

{%- set pattern = ("(?" ~ flags ~ ")" if flags else "") ~ regex -%}
{%- set literal = ("r" if is_raw else "") ~ "'" ~ pattern ~ "'" -%}

-- a null passes; an empty string matches nothing, not even '^$': regexp_instr returns 0 for it in
-- BigQuery, but not in the emulator, so the length is checked as well
select *
from {{ model }}
where
    {% if row_condition -%} ({{ row_condition }}) and {% endif -%}
    not (regexp_instr({{ column_name }}, {{ literal }}) > 0 and length({{ column_name }}) > 0)

{% endtest %}
