"""The SQL statements of the loader; `{raw}`, `{loads}` and `{forgotten}` are its tables.

`{records}` is what the source calls its records, in the names of columns: `users`.
"""

# What is known of a load before it lands: its row in the ledger, its rows in raw (of a run that
# died before the ledger was written), and who is forgotten.
LOOK_UP = """
select
    current_timestamp() as now_at,
    ledger.load_id is not null as is_in_ledger,
    ledger.{records}_landed as in_ledger,
    coalesce(ledger.{records}_forgotten, 0) as forgotten_in_ledger,
    landed.in_raw,
    landed.loaded_at,
    coalesce(ledger.load_hash, landed.load_hash) as load_hash,
    (select string_agg(distinct user_hash) from `{forgotten}`) as forgotten,
    (select key from `{forgotten}_key`) as forgotten_key
from (
    select count(*) as in_raw, max(loaded_at) as loaded_at, max(load_hash) as load_hash
    from `{raw}`
    where
        load_id = @load_id
        and loaded_at >= timestamp_sub(current_timestamp(), interval @days day)
) as landed
left join (select * from `{loads}` where load_id = @load_id) as ledger
    on true
"""

# How many records were received of which a run that died, or another one, has written raw.
COUNT_RECEIVED = """
select coalesce(max(record_index) + 1, 0) from `{raw}`
where load_id = @load_id and loaded_at = @loaded_at
"""

# `landed` null: it is not known beforehand how many records are in raw.
WRITE_LEDGER = """
insert into `{loads}` (
    load_id, source, api_version, seed, {records}_asked, {records}_received,
    {records}_landed, {records}_forgotten, loader_version, started_at, loaded_at, load_hash
)
select
    @load_id, @source, landed.api_version, landed.seed, @asked, @received,
    landed.in_raw, @received - landed.in_raw, @loader_version, @started_at,
    current_timestamp(), @load_hash
from (
    select
        count(*) as in_raw,
        coalesce(string_agg(distinct api_version, ', '), '') as api_version,
        coalesce(string_agg(distinct seed, ', '), '') as seed
    from `{raw}`
    where load_id = @load_id and loaded_at = @started_at
) as landed
where
    landed.in_raw = coalesce(@landed, landed.in_raw)
    and not exists (select 1 from `{loads}` where load_id = @load_id)
"""

DECIDE = """
update `{loads}` set decision = @decision, decided_at = current_timestamp()
where load_id = @load_id
"""

LAST_LOADS = """
select loaded_at, load_id, {records}_landed as landed, api_version, decision, source from `{loads}`
order by loaded_at desc limit 20
"""

FORGOTTEN_KEY = """
create table if not exists `{forgotten}_key` as
select concat(generate_uuid(), generate_uuid()) as key
"""
